# One image per service: docker build --build-arg SERVICE=membership -t unionhall/membership:0.1.0 .
# Nothing but the classic builder's words, so that every builder understands it.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
RUN test -n "${SERVICE}" || { echo "SERVICE is membership, welfare, events or gateway: --build-arg SERVICE=..."; exit 1; }
# No pip in the environment that goes into the image. Wheels only: nothing is compiled here.
RUN python -m venv --without-pip /opt/unionhall
COPY locks/${SERVICE}.txt /locks/requirements.txt
RUN pip --python /opt/unionhall/bin/python --no-cache-dir --disable-pip-version-check \
      install --quiet --only-binary :all: --require-hashes -r /locks/requirements.txt
# By a file and not by PYTHONPATH: the child that reads rosters is given no environment.
RUN printf '/opt/unionhall/app\nimport process_one\n' >"$(echo /opt/unionhall/lib/python3*/site-packages)/unionhall.pth"
COPY deploy/image/process_one /opt/unionhall/app/process_one.py
COPY shared/src/shared /opt/unionhall/app/shared
COPY services/${SERVICE}/src/${SERVICE}_service /opt/unionhall/app/${SERVICE}_service
COPY services/${SERVICE}/migrations /opt/unionhall/app/${SERVICE}_service/migrations
COPY deploy/image/ready /opt/unionhall/bin/ready
# `app`, `worker`, `migrate`, `bootstrap`: the shell is replaced, so the program is process 1 and gets the signals.
RUN for program in app worker migrate bootstrap; do \
      if [ -f "/opt/unionhall/app/${SERVICE}_service/${program}.py" ]; then \
        printf '#!/bin/sh\nexec python -m %s_service.%s "$@"\n' "${SERVICE}" "${program}" >"/opt/unionhall/bin/${program}"; \
      fi; \
    done \
 && chmod -R a+rX,go-w /opt/unionhall && chmod 0755 /opt/unionhall/bin/* \
 && python -m compileall -q /opt/unionhall/app

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/unionhall /opt/unionhall
ENV PATH=/opt/unionhall/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UNIONHALL_HTTP_HOST=0.0.0.0
# No name in /etc/passwd: nobody logs in, and whoever runs it as another number loses nothing.
USER 10001:10001
WORKDIR /opt/unionhall/app
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=300s --retries=3 CMD ["ready", "8080"]
CMD ["app"]
# Last, so that a new revision of the same code shares its layers with the one before.
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="unionhall ${SERVICE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
