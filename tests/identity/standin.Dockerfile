# Keycloak's own distribution on the Java of a Python wheel, for machines that cannot pull the official image.
# Users and paths as there.
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE} AS unpacked
COPY keycloak.zip /tmp/keycloak.zip
RUN python -m zipfile -e /tmp/keycloak.zip /opt && mv /opt/keycloak-* /opt/keycloak \
 && chmod 755 /opt/keycloak/bin/*.sh && mkdir -p /opt/keycloak/data \
 && chown -R 1000:0 /opt/keycloak && chmod -R g=u /opt/keycloak

FROM ${PYTHON_IMAGE}
COPY java /opt/java
COPY --from=unpacked --chown=1000:0 /opt/keycloak /opt/keycloak
# A Java newer than the official image's keeps threads from being cleaned up, and they end, unless it is told otherwise.
ENV JAVA_HOME=/opt/java LANG=C.UTF-8 JAVA_OPTS_APPEND=--add-opens=java.base/java.lang=ALL-UNNAMED
USER 1000
EXPOSE 8080 9000
ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]
