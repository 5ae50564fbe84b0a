# The server's image. docs/container.md runs it as one container, deploy/compose as one for each role.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/marketdata

# The packages of `make setup`. With bytecode, because the user below cannot write it.
COPY requirements.txt requirements-charts.txt ./
RUN pip install --require-hashes -r requirements.txt
RUN pip install --require-hashes --no-deps -r requirements-charts.txt
COPY . ./
RUN pip install --no-deps --no-build-isolation --editable clients/python
RUN python -m compileall -q .
RUN install --directory --owner nobody --group nogroup --mode 700 /data /shared

USER nobody
# A link that logs in is for browsers of the same machine, which a container has not.
ENV HOST=0.0.0.0 PORT=8000 DATA_DIR=/data LOGIN_LINK=0
VOLUME /data
EXPOSE 8000
# The first start loads the sample before the server answers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 \
    CMD python -c "import http.client as h; c = h.HTTPConnection('127.0.0.1', $PORT, timeout=4); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"
ENTRYPOINT ["python", "manage.py", "serve"]
