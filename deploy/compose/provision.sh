#!/usr/bin/env bash
# What every service has in PostgreSQL: a database and three roles, as shared.database.provision makes them elsewhere.
# Runs by itself when the data volume is new. Run again after a password was changed:
#   docker compose exec -u postgres postgres /docker-entrypoint-initdb.d/provision.sh
set -euo pipefail

password_of() { # FILE: the password in postgresql://user:password@host/database, %40 in it being an @
  local written
  written=$(sed -nE 's|^postgresql://[^:]+:([^@]+)@.*$|\1|p' "$1")
  written=${written//\\/\\\\}
  printf '%b' "${written//%/\\x}"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres "$@"; }

role() { # NAME PASSWORD: a role that may sign in and nothing else, or its new password
  local quoted=${2//\\/\\\\}
  quoted=${quoted//\'/\'\'}
  # By standard input: a password is no argument that others could see.
  sql <<SQL
\\set name $1
\\set password '$quoted'
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';
SQL
}

database() { # NAME OWNER
  sql -v name="$1" -v owner="$2" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'name', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

for service in membership welfare events gateway; do
  name=unionhall_$service
  for role in owner app worker; do
    password=$(password_of "/run/secrets/${service}_${role}_url")
    [ -n "$password" ] || { echo "/run/secrets/${service}_${role}_url holds no password" >&2; exit 1; }
    role "${name}_${role}" "$password"
  done
  database "$name" "${name}_owner"
  sql -v name="$name" <<'SQL'
SELECT format('GRANT CONNECT ON DATABASE %I TO %I, %I', :'name', :'name' || '_app', :'name' || '_worker') \gexec
SQL
done

# Keycloak's, for the profile identity.
if [ -e /run/secrets/keycloak_database_password ]; then
  role unionhall_identity "$(</run/secrets/keycloak_database_password)"
  database unionhall_identity unionhall_identity
fi
