"""A client that uploads over TLS and never reads: it sends its data, says close_notify
and closes, as many programs with OpenSSL do. What the server sent in the meantime,
such as tickets of TLS 1.3, stays unread, and the kernel answers it with a reset.

    upload.py bare PORT VERSION TIMES SIZE [CERT]
    upload.py ftp HOST PORT USER PASSWORD VERSION full|resumed TIMES SIZE

bare speaks to a TLS server that reads when it is told: each upload waits for a line on
standard input when its handshake is done, and prints "closed" when it has closed.
ftp stores SIZE bytes under the names 0, 1, 2...
"""

import ftplib
import socket
import ssl
import sys


def context(version):
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    c.minimum_version = c.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    return c


class Upload:
    """TLS over a socket. It reads record by record, as OpenSSL does over a socket, and not ahead."""

    def __init__(self, sock, ctx, session=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost", session=session)
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                self.read_record()

    def exactly(self, n):
        data = self.sock.recv(n, socket.MSG_WAITALL)
        if len(data) < n:
            raise EOFError("the server ended the connection")
        return data

    def read_record(self):
        head = self.exactly(5)
        self.incoming.write(head + self.exactly(int.from_bytes(head[3:], "big")))

    def flush(self):
        self.sock.sendall(self.outgoing.read())

    def send(self, data):
        for at in range(0, len(data), 16384):
            self.tls.write(data[at:at + 16384])
            self.flush()

    def close(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # close_notify is in outgoing, and nobody waits for the answer
        self.flush()
        self.sock.close()


def body(size):
    return bytes(i % 251 for i in range(1021)) * (size // 1021 + 1)


def bare(port, version, times, size, *cert):
    data = body(int(size))[:int(size)]
    for _ in range(int(times)):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.connect(("127.0.0.1", int(port)))
        ctx = context(version)
        if cert:
            ctx.load_cert_chain(cert[0])
        upload = Upload(sock, ctx)
        sys.stdin.readline()
        upload.send(data)
        upload.close()
        print("closed", flush=True)


def ftp(host, port, user, password, version, handshake, times, size):
    data = body(int(size))[:int(size)]
    ctx = context(version)
    control = ftplib.FTP_TLS(context=ctx, timeout=60)
    control.connect(host, int(port))
    control.login(user, password)
    control.prot_p()
    control.voidcmd("TYPE I")
    resumed = 0
    for i in range(int(times)):
        sock = socket.create_connection(control.makepasv(), timeout=60)
        control.sendcmd("STOR %d" % i)
        session = control.sock.session if handshake == "resumed" else None
        upload = Upload(sock, ctx, session)
        resumed += upload.tls.session_reused
        upload.send(data)
        upload.close()
        print(control.getmultiline(), flush=True)
    print("resumed", resumed, flush=True)
    control.quit()


if __name__ == "__main__":
    {"bare": bare, "ftp": ftp}[sys.argv[1]](*sys.argv[2:])
