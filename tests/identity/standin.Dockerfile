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
ENV JAVA_HOME=/opt/java LANG=C.UTF-8
USER 1000
EXPOSE 8080 9000
ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]
