#!/usr/bin/env bash
# A slider stops moving while a cell runs, from ipykernel 7.3.0 to 7.4.0. Seen on 2026-11-27 with Python 3.11,
# jupyter_client 8.10.0, comm 0.2.3.
#
# A front end may open a subshell, so that messages to a comm (what widgets speak through) are handled in another thread
# while the main shell runs a cell. JupyterLab does so by default. In 7.3.0 a message that names a subshell in its header is
# handled there at once. In 7.4.0 it is handed to the shell in which the kernel itself last spoke through that comm, whatever
# the header says. A widget is made in a cell, so that is the main shell: the message waits until the running cell has ended.
#
# Surprising because the header's field exists to choose the shell, the change came in a minor version, and nothing is said.
# Staying below 7.4 is no way round: up to 7.3 a kernel now and then leaves a cell unread until another client connects.
# Way round: set `comm._reply_subshell_for = None` on each comm that is to answer beside a running cell.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/ask.py" <<'PYTHON'
import time

from jupyter_client.manager import start_new_kernel

BUSY = 8  # seconds that the cell runs
ECHO = """
from comm import create_comm
comm = create_comm(target_name="echo")
comm.on_msg(lambda message: comm.send({"echo": message["content"]["data"]["said"]}))
print(comm.comm_id)
"""

manager, client = start_new_kernel()
try:
    printed = []
    client.execute_interactive(ECHO, timeout=60, output_hook=lambda m: printed.append(m["content"].get("text", "")))
    comm_id = "".join(printed).strip()

    client.control_channel.send(client.session.msg("create_subshell_request"))
    subshell = client.get_control_msg(timeout=60)["content"]["subshell_id"]

    client.execute(f"import time; time.sleep({BUSY})")
    time.sleep(1)  # the cell is under way
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": {"said": 1}})
    message["header"]["subshell_id"] = subshell
    began = time.monotonic()
    client.shell_channel.send(message)
    while True:
        answer = client.get_iopub_msg(timeout=60)
        if answer["msg_type"] == "comm_msg" and answer["content"]["data"].get("echo") == 1:
            break
    waited = time.monotonic() - began
    print("at once" if waited < BUSY / 4 else "after the cell" if waited > BUSY / 2 else f"unclear, {waited:.1f} s")
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
PYTHON

seen() {
    python3 -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        "ipykernel==$1" jupyter_client==8.10.0 comm==0.2.3
    "$folder/$1/bin/python" -m ipykernel install --sys-prefix >/dev/null 2>&1
    JUPYTER_PREFER_ENV_PATH=1 "$folder/$1/bin/python" "$folder/ask.py"
}

old=$(seen 7.3.0)
new=$(seen 7.4.0)
echo "a message to a subshell is answered while a cell runs: ipykernel 7.3.0 $old, 7.4.0 $new"
[[ $old == "at once" && $new == "after the cell" ]]
