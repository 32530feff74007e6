# Images from one file: the default trains and scores, the target `score` is without TensorFlow and cannot retrain, and
# `dask` is that one with Dask. All run as a user without a name on the host, on a read-only root with a tmpfs /tmp. BASE is any image with glibc and
# a `python` from 3.11 that can make virtual environments.
ARG BASE=python:3.13.7-slim

FROM ${BASE} AS score-packages
COPY locks/score.txt /tmp/lock.txt
# Only what the lock names by hash, wheels only; pip goes once it has done its work.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/lock.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet pip

FROM ${BASE} AS train-packages
COPY locks/train.txt /tmp/lock.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/lock.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet pip

FROM ${BASE} AS dask-packages
COPY locks/dask.txt /tmp/lock.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/lock.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet pip

FROM ${BASE} AS common
RUN groupadd --gid 10001 pima \
    && useradd --uid 10001 --gid pima --no-log-init --no-create-home --home-dir /tmp --shell /usr/sbin/nologin pima
WORKDIR /app
COPY jobs jobs
COPY pima pima
COPY migrations migrations
COPY config config
# Nobody can write bytecode here later, so it is made now; by hash, since layers may change a file's time.
RUN python -m compileall -q --invalidation-mode unchecked-hash jobs pima migrations
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["jobs.scheduler"]
# Of the scheduler; a one-shot run of another job ends before anyone asks.
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s CMD ["python", "-m", "jobs.health"]
ARG BASE
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pima" \
      org.opencontainers.image.description="Batch scoring service with scheduled retraining" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

FROM common AS score
COPY --from=score-packages /opt/venv /opt/venv

# For a Dask cluster's scheduler and workers, and for the job that has them score.
FROM common AS dask
COPY --from=dask-packages /opt/venv /opt/venv

FROM common AS train
COPY --from=train-packages /opt/venv /opt/venv
