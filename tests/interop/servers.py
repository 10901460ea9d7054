# SPDX-License-Identifier: Apache-2.0
"""The web servers of Debian as they come, each with a large file and PHP, on three free ports of the loopback: HTTP,
HTTPS with TLS 1.2 alone, HTTPS with TLS 1.3 alone. Each lives in a folder of its own, without rights, and goes with it.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "netlab"))
import netlab  # noqa: E402

ADDRESS = "127.0.0.1"
NOBODY = 65534
PHP_WORKERS = 16
FILE_BYTES = 200 << 20
_libc = ctypes.CDLL(None)

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off; client_max_body_size 20m;
    client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi; proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    root {folder}/www;
    server {{ listen {address}:{http}; include {folder}/php.conf; }}
    server {{ listen {address}:{tls12} ssl; ssl_protocols TLSv1.2; include {folder}/php.conf; }}
    server {{ listen {address}:{tls13} ssl; ssl_protocols TLSv1.3; include {folder}/php.conf; }}
}}
"""
NGINX_PHP = """
location ~ [.]php$ {{
    include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_pass {address}:{php};
}}
"""
APACHE = """
ServerRoot {folder}
ServerName {address}
PidFile {folder}/apache.pid
ErrorLog {folder}/errors
LogLevel error
Mutex file:{folder} default
{modules}
Listen {address}:{http}
Listen {address}:{tls12}
Listen {address}:{tls13}
DocumentRoot {folder}/www
ProxyFCGIBackendType GENERIC
ProxyPassMatch "^/(.*[.]php)$" "fcgi://{address}:{php}{folder}/www/$1"
SSLCertificateFile {folder}/server.pem
SSLCertificateKeyFile {folder}/server.key
<VirtualHost {address}:{tls12}>
SSLEngine on
SSLProtocol TLSv1.2
</VirtualHost>
<VirtualHost {address}:{tls13}>
SSLEngine on
SSLProtocol TLSv1.3
</VirtualHost>
"""
APACHE_MODULES = "mpm_event authz_core socache_shmcb ssl proxy proxy_fcgi"
# Without stream-response-body it keeps the whole of an answer before it sends the first byte.
LIGHTTPD = """
server.stream-response-body = 1
server.modules = ("mod_openssl", "mod_fastcgi")
server.document-root = "{folder}/www"
server.upload-dirs = ("{folder}/body")
server.port = {http}
server.bind = "{address}"
fastcgi.server = (".php" => (("host" => "{address}", "port" => {php})))
$SERVER["socket"] == "{address}:{tls12}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{folder}/server.pem"
    ssl.privkey = "{folder}/server.key"
    ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2", "MaxProtocol" => "TLSv1.2")
}}
$SERVER["socket"] == "{address}:{tls13}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{folder}/server.pem"
    ssl.privkey = "{folder}/server.key"
    ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.3", "MaxProtocol" => "TLSv1.3")
}}
"""
# Name: the program, its configuration, and how it is started.
SERVERS = {
    "nginx": ("nginx", NGINX, ("-e", "stderr", "-p", "{folder}", "-c", "{folder}/conf")),
    "apache2": ("apache2", APACHE, ("-X", "-f", "{folder}/conf")),
    "lighttpd": ("lighttpd", LIGHTTPD, ("-D", "-f", "{folder}/conf")),
}


def missing():
    """The programs that are not installed."""
    path = os.environ["PATH"] + ":/usr/sbin"
    return [name for name in (*SERVERS, "php-cgi", "openssl") if shutil.which(name, path=path) is None]


def free_ports(count):
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server((ADDRESS, 0))).getsockname()[1] for _ in range(count)]


def _group_of_its_own():
    os.setsid()
    _libc.prctl(netlab.PR_SET_PDEATHSIG, signal.SIGKILL)


class _Process:
    """A program of its own group, without root's rights, that listens on `ports` once this is made."""

    def __init__(self, command, folder, ports, environment):
        rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        program = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin")
        self._log = open(os.path.join(folder, command[0] + ".log"), "w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen([program, *command[1:]], stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **environment},
                                         preexec_fn=_group_of_its_own, **rights)
        try:
            self._wait(command[0], ports)
        except BaseException:
            self.close()
            raise

    def _wait(self, name, ports):
        end = time.monotonic() + 20
        for port in ports:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection((ADDRESS, port), 5).close()
                    break
                if self._process.poll() is not None or time.monotonic() > end:
                    self._log.seek(0)
                    raise RuntimeError(f"{name} does not listen: {self._log.read()}")
                time.sleep(0.02)

    def close(self):
        # The leader is not waited for yet, so its group still is its own.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._log.close()


class WebServer:
    """One of SERVERS, running. Use as a context manager."""

    def __init__(self, name):
        self.name = name
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _start(self):
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f"dokiem-{self.name}-"))
        http, tls12, tls13, php = free_ports(4)
        self.ports = {"http": http, "tls12": tls12, "tls13": tls13}
        self.ca_file, self._count = f"{folder}/ca.pem", f"{folder}/count"
        netlab.make_certificate(folder, ADDRESS)
        os.mkdir(f"{folder}/body")
        shutil.copytree(os.path.join(HERE, "backend"), f"{folder}/www/backend")
        with open(f"{folder}/www/large.bin", "wb") as large:
            large.truncate(FILE_BYTES)
        program, text, arguments = SERVERS[self.name]
        modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
                            for name in APACHE_MODULES.split())
        values = {"folder": folder, "address": ADDRESS, "php": php, "modules": modules, **self.ports}
        for name, content in (("conf", text), ("php.conf", NGINX_PHP)):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write(content.format(**values))
        self._hand_over(folder)
        self._run(["php-cgi", "-b", f"{ADDRESS}:{php}"], folder, [php])
        self._run([program, *(word.format(**values) for word in arguments)], folder, self.ports.values())

    @staticmethod
    def _hand_over(folder):
        if os.geteuid() != 0:
            return
        for path, folders, files in os.walk(folder):
            for each in (path, *(os.path.join(path, name) for name in (*folders, *files))):
                os.chown(each, NOBODY, NOBODY)

    def _run(self, command, folder, ports):
        environment = {"PHP_FCGI_CHILDREN": str(PHP_WORKERS), "DOKIEM_COUNT": self._count, "TMPDIR": folder}
        self._stack.callback(_Process(command, folder, ports, environment).close)

    def url(self, port, path):
        return f"{'http' if port == 'http' else 'https'}://{ADDRESS}:{self.ports[port]}/{path}"

    def received_bytes(self):
        """What PHP has read of uploads so far, whole requests only."""
        if not os.path.exists(self._count):
            return 0
        with open(self._count, encoding="ascii") as count:
            return sum(map(int, count))
