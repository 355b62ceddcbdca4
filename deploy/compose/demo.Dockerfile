# The operator's command and the made-up bank, for the profile demo alone: no service stands on this image.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE}
RUN python -m venv --without-pip /opt/unionhall
COPY locks/cli.txt /locks/requirements.txt
RUN pip --python /opt/unionhall/bin/python --no-cache-dir --disable-pip-version-check \
      install --quiet --only-binary :all: --require-hashes -r /locks/requirements.txt
RUN echo /opt/unionhall/app >"$(echo /opt/unionhall/lib/python3*/site-packages)/unionhall.pth"
COPY shared/src/shared /opt/unionhall/app/shared
COPY cli/src/unionhall_cli /opt/unionhall/app/unionhall_cli
COPY deploy/local/src/local_stack /opt/unionhall/app/local_stack
COPY deploy/image/load-demo /opt/unionhall/bin/load-demo
RUN printf '#!/bin/sh\nexec python -m unionhall_cli.main "$@"\n' >/opt/unionhall/bin/unionhall \
 && chmod -R a+rX,go-w /opt/unionhall && chmod 0755 /opt/unionhall/bin/* \
 && python -m compileall -q /opt/unionhall/app && install -d -m 1777 /books
ENV PATH=/opt/unionhall/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UNIONHALL_HOME=/tmp/unionhall
USER 10001:10001
WORKDIR /opt/unionhall/app
CMD ["load-demo"]
