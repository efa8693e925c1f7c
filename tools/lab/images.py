"""Container images of the lab, made of Debian's static busybox without a registry or Docker.

localhost/pause:lab   sleeps; the sandbox of every pod
localhost/web:lab     HTTP on port 8080: `/` = pod's name, `/node` = $NODE_NAME, `/cgi-bin/peer` = the address the request came from,
                      `/cgi-bin/all` = pod, node and peer in one line
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile

from system import run

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "berth" / "images"
BUSYBOX = pathlib.Path("/bin/busybox")
TOOLS = ("sh", "sleep", "httpd", "hostname", "mkdir", "cat", "echo", "env", "wget", "nc", "ip", "ps", "kill", "ls", "chmod",
         "ping", "printf")

WEB = """#!/bin/sh
hostname > /www/index.html
echo "${NODE_NAME:-unknown}" > /www/node
exec httpd -f -p '[::]:8080' -h /www
"""
# busybox gives an IPv4 peer as [::ffff:192.0.2.1].
PEER = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
peer=${REMOTE_ADDR#[}
peer=${peer%]}
peer=${peer#::ffff:}
"""
SCRIPTS = {"bin/web": WEB, "www/cgi-bin/peer": PEER + 'echo "$peer"\n',
           "www/cgi-bin/all": PEER + 'echo "$(cat /www/index.html) $(cat /www/node) $peer"\n'}
IMAGES = {"pause": ("/bin/sleep", "2147483647"), "web": ("/bin/web",)}


def tar_of(image):
    """The image as a docker-archive, built on first use."""
    key = hashlib.sha256(BUSYBOX.read_bytes() + repr((SCRIPTS, TOOLS, IMAGES)).encode()).hexdigest()[:16]
    result = CACHE / f"{image}-{key}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            _build(image, result)
    return result


def _build(image, result):
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        scratch = pathlib.Path(scratch)
        root, layout = scratch / "root", f"{scratch}/oci:{image}"
        for folder in ("bin", "tmp", "etc", "www/cgi-bin", "proc", "sys", "dev"):
            (root / folder).mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        for tool in TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        for path, script in SCRIPTS.items():
            (root / path).write_text(script)
            (root / path).chmod(0o755)
        run(["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", root, "-cf", scratch / "layer.tar", "."])
        run(["umoci", "init", "--layout", f"{scratch}/oci"])
        run(["umoci", "new", "--image", layout])
        run(["umoci", "raw", "add-layer", "--image", layout, scratch / "layer.tar"])
        entry = [part for word in IMAGES[image] for part in ("--config.entrypoint", word)]
        run(["umoci", "config", "--image", layout, *entry, "--config.env", "PATH=/bin"])
        run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}", f"docker-archive:{scratch}/image.tar:localhost/{image}:lab"])
        (scratch / "image.tar").rename(result)
