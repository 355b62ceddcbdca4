#!/usr/bin/env bash
# What every service has in PostgreSQL: a database and three roles, as shared.database.provision makes them elsewhere.
# Runs by itself when the data volume is new. Run again after a password was changed:
#   docker compose exec -u postgres postgres /docker-entrypoint-initdb.d/provision.sh
set -euo pipefail

password_of() { # FILE: the password in postgresql://user:password@host/database
  sed -nE 's|^postgresql://[^:]+:([^@]+)@.*$|\1|p' "$1"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres "$@"; }

for service in membership welfare events gateway; do
  name=unionhall_$service
  for role in owner app worker; do
    password=$(password_of "/run/secrets/${service}_${role}_url")
    [ -n "$password" ] || { echo "/run/secrets/${service}_${role}_url holds no password" >&2; exit 1; }
    # By standard input: a password is no argument that others could see.
    sql <<SQL
\\set name ${name}_${role}
\\set password '${password}'
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';
SQL
  done
  sql -v name="$name" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'name', :'name' || '_owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SELECT format('GRANT CONNECT ON DATABASE %I TO %I, %I', :'name', :'name' || '_app', :'name' || '_worker') \gexec
SQL
done
