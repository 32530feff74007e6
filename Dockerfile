# Two images from one file: `score` without TensorFlow, and the default with it.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS score-packages
COPY locks/score.txt /tmp/lock.txt
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/lock.txt

FROM ${BASE} AS train-packages
COPY locks/train.txt /tmp/lock.txt
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/lock.txt

FROM ${BASE} AS common
RUN useradd --system --uid 10001 --no-create-home pima
WORKDIR /app
COPY jobs jobs
COPY pima pima
COPY migrations migrations
COPY config config
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER pima
ENTRYPOINT ["python", "-m"]
CMD ["jobs.scheduler"]

FROM common AS score
COPY --from=score-packages /opt/venv /opt/venv

FROM common AS train
COPY --from=train-packages /opt/venv /opt/venv
