"""Uploads a directory, lists it and downloads it again, by Python's ftplib over TLS.

    ftplib_tls.py HOST PORT USER PASSWORD CA explicit|implicit LOCAL REMOTE BACK
"""

import ftplib
import os
import ssl
import sys


class Implicit(ftplib.FTP_TLS):
    """ftplib has no implicit TLS; this is what everybody writes."""

    def connect(self, host, port, timeout):
        plain = ftplib.socket.create_connection((host, port), timeout)
        self.host, self.port, self.timeout = host, port, timeout
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def login(self, user, password):
        return ftplib.FTP.login(self, user, password)


host, port, user, password, ca, mode, local, remote, back = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
ftp = (Implicit if mode == "implicit" else ftplib.FTP_TLS)(context=context, encoding="utf-8")
ftp.set_debuglevel(1)
ftp.connect(host, int(port), timeout=60)
ftp.login(user, password)
ftp.prot_p()
ftp.mkd(remote)
for name in sorted(os.listdir(local)):
    with open(os.path.join(local, name), "rb") as f:
        ftp.storbinary("STOR %s/%s" % (remote, name), f)
for name, facts in ftp.mlsd(remote):
    if facts["type"] == "file":
        print("NAME " + name)
for name in os.listdir(local):
    with open(os.path.join(back, name), "wb") as f:
        ftp.retrbinary("RETR %s/%s" % (remote, name), f.write)
ftp.quit()
