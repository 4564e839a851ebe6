# deepagent with the embedded model, for an ordinary user. Build: `make dist && docker build -t deepagent .`
# Code is confined by bubblewrap, which makes user namespaces: Docker's default seccomp profile forbids that.
#   docker run --rm -it --security-opt seccomp=unconfined -v deepagent:/home/agent deepagent run "What is 6 * 7?"
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home agent

COPY dist/*.whl constraints.txt /tmp/deepagent/
RUN wheel="$(ls /tmp/deepagent/*.whl)" \
    && pip install --no-cache-dir -c /tmp/deepagent/constraints.txt "${wheel}[embedded,mcp,research,serve,view]" \
    && rm -r /tmp/deepagent

USER agent
WORKDIR /home/agent
ENTRYPOINT ["deepagent"]
CMD ["--help"]
