"""The lab's certificates: one authority, made by openssl, and what it signs."""

from system import run

DAYS = "3650"


def make_authority(folder):
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_key(folder / "ca.key")
    run(["openssl", "req", "-x509", "-new", "-key", folder / "ca.key", "-subj", "/CN=berth-lab", "-days", DAYS,
         "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature", "-out", folder / "ca.crt"])


def make_key(path):
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])


def make_service_account_keys(folder):
    run(["openssl", "genrsa", "-out", folder / "service-account.key", "2048"])
    run(["openssl", "rsa", "-in", folder / "service-account.key", "-pubout", "-out", folder / "service-account.pub"])


def issue(folder, name, user, group=None, alternative_names=()):
    """Writes NAME.key and NAME.crt: a client's certificate, and a server's if it has alternative names."""
    make_key(folder / f"{name}.key")
    subject = (f"/O={group}" if group else "") + f"/CN={user}"
    extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature",
                  "extendedKeyUsage=" + ("serverAuth,clientAuth" if alternative_names else "clientAuth")]
    if alternative_names:
        extensions.append("subjectAltName=" + ",".join(alternative_names))
    (folder / f"{name}.ext").write_text("\n".join(extensions) + "\n")
    run(["openssl", "req", "-new", "-key", folder / f"{name}.key", "-subj", subject, "-out", folder / f"{name}.csr"])
    run(["openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
         "-days", DAYS, "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.crt"])


def write_kubeconfig(path, folder, name, server):
    """A kubeconfig for the client `name`; refers to the files by path."""
    path.write_text(f"""apiVersion: v1
kind: Config
current-context: lab
contexts: [{{name: lab, context: {{cluster: lab, user: {name}}}}}]
clusters: [{{name: lab, cluster: {{server: "{server}", certificate-authority: "{folder}/ca.crt"}}}}]
users: [{{name: {name}, user: {{client-certificate: "{folder}/{name}.crt", client-key: "{folder}/{name}.key"}}}}]
""")
    path.chmod(0o600)
