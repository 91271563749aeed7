"""A client made of Python's ftplib.

    client.py HOST PORT USER PASSWORD active|passive VERB [ARGUMENT...]

Each verb is a step of the tests. The dialogue goes to standard output (set_debuglevel).
"""

import ftplib
import io
import os
import sys


def connect(host, port, user, password, mode):
    ftp = ftplib.FTP(timeout=60, encoding="utf-8")
    ftp.set_debuglevel(1)
    ftp.connect(host, int(port))
    ftp.login(user, password)
    ftp.set_pasv(mode == "passive")
    return ftp


def upload(ftp, local, remote, *names):
    for name in names:
        with open(os.path.join(local, name), "rb") as f:
            ftp.storbinary("STOR %s/%s" % (remote, name), f)


def download(ftp, remote, local, *names):
    for name in names:
        with open(os.path.join(local, name), "wb") as f:
            ftp.retrbinary("RETR %s/%s" % (remote, name), f.write)


def names(ftp, remote, *_):
    for name, facts in ftp.mlsd(remote):
        if facts["type"] in ("file", "dir"):
            print("NAME " + name)


def rename(ftp, old, new):
    ftp.rename(old, new)


def remove(ftp, name):
    ftp.delete(name)


def mkdir(ftp, name):
    ftp.mkd(name)


def rmdir(ftp, name):
    ftp.rmd(name)


def resume_download(ftp, remote, local):
    with open(local, "ab") as f:
        ftp.retrbinary("RETR " + remote, f.write, rest=f.tell())


def resume_upload(ftp, local, remote):
    with open(local, "rb") as f:
        ftp.voidcmd("TYPE I")
        offset = ftp.size(remote)
        f.seek(offset)
        ftp.storbinary("STOR " + remote, f, rest=offset)


def size_or_none(ftp, remote):
    """What is there of a file; nothing is 0."""
    ftp.voidcmd("TYPE I")
    try:
        return ftp.size(remote) or 0
    except ftplib.error_perm as e:
        if not str(e).startswith("550"):
            raise
        return 0


def again_upload(ftp, local, remote):
    """Goes on by REST and STOR, from the start if nothing is there."""
    with open(local, "rb") as f:
        offset = size_or_none(ftp, remote)
        f.seek(offset)
        ftp.storbinary("STOR " + remote, f, rest=offset or None)


def append_upload(ftp, local, remote):
    """Goes on by APPE."""
    with open(local, "rb") as f:
        f.seek(size_or_none(ftp, remote))
        ftp.storbinary("APPE " + remote, f)


def store_upload(ftp, local, remote):
    with open(local, "rb") as f:
        ftp.storbinary("STOR " + remote, f)


def fetch(ftp, remote, local):
    """Downloads a tree; a missing one is an empty one."""
    try:
        entries = list(ftp.mlsd(remote))
    except ftplib.error_perm as e:
        if not str(e).startswith("550"):
            raise
        return
    os.makedirs(local, exist_ok=True)
    for name, facts in entries:
        if facts["type"] == "dir":
            fetch(ftp, remote + "/" + name, os.path.join(local, name))
        elif facts["type"] == "file":
            download(ftp, remote, local, name)


def store(ftp, local, remote):
    """Uploads a tree and makes its directories."""
    made = ""
    for element in remote.split("/"):
        made += "/" + element
        try:
            ftp.mkd(made)
        except ftplib.error_perm as e:
            if not str(e).startswith("550"):
                raise
    for entry in sorted(os.listdir(local)):
        path = os.path.join(local, entry)
        if os.path.isdir(path):
            store(ftp, path, remote + "/" + entry)
        else:
            upload(ftp, local, remote, entry)


def refuses(code, call, *args):
    """call must be refused with this reply code."""
    try:
        answer = call(*args)
    except ftplib.Error as e:
        assert str(e).startswith(code), "%r instead of %s" % (str(e), code)
    else:
        raise AssertionError("%r instead of %s" % (answer, code))


def methods(ftp, directory, path):
    """Goes through all methods of ftplib.FTP; leaves directory/kept.bin, a copy of path."""
    with open(path, "rb") as f:
        data = f.read()
    assert ftp.getwelcome().startswith("220"), ftp.getwelcome()
    assert ftp.pwd() == "/", ftp.pwd()
    assert ftp.mkd(directory).endswith("/" + directory)
    ftp.cwd(directory)
    assert ftp.pwd() == "/" + directory
    ftp.mkd('say "hi"')
    ftp.cwd('say "hi"')
    assert ftp.pwd() == "/%s/say \"hi\"" % directory, ftp.pwd()
    ftp.cwd("..")
    ftp.rmd('say "hi"')

    # An empty directory, four ways.
    assert ftp.nlst() == []
    assert list(ftp.mlsd()) == []
    rows = []
    ftp.dir(rows.append)
    assert rows == [], rows
    ftp.retrlines("LIST", rows.append)
    assert rows == [], rows

    # Binary, with a progress callback, both ways.
    sent, received = [], []
    with open(path, "rb") as f:
        assert ftp.storbinary("STOR kept.bin", f, 65536, lambda b: sent.append(len(b))).startswith("226")
    assert sum(sent) == len(data)
    assert ftp.retrbinary("RETR kept.bin", received.append, 4096).startswith("226")
    assert b"".join(received) == data
    assert ftp.size("kept.bin") == len(data)

    # Text.
    text = ["first", "", "third \u00fc", "x" * 5000]
    ftp.storlines("STOR text", io.BytesIO("\n".join(text).encode() + b"\n"))
    lines = []
    ftp.retrlines("RETR text", lines.append)
    assert lines == text, lines
    ftp.voidcmd("TYPE I")
    assert ftp.size("text") == len("\n".join(text).encode()) + 1, ftp.size("text")

    # From an offset.
    tail = []
    ftp.retrbinary("RETR kept.bin", tail.append, rest=len(data) - 10)
    assert b"".join(tail) == data[-10:]
    ftp.storbinary("STOR text", io.BytesIO(b"SECOND"), rest=5)
    tail = []
    ftp.retrbinary("RETR text", tail.append)
    assert b"".join(tail) == b"firstSECOND", tail
    ftp.storbinary("APPE text", io.BytesIO(b"-third"))
    assert ftp.size("text") == 17

    # Listings.
    assert sorted(ftp.nlst()) == ["kept.bin", "text"]
    assert sorted(ftp.nlst("/" + directory)) in (["kept.bin", "text"],
        ["/%s/kept.bin" % directory, "/%s/text" % directory])
    facts = dict(ftp.mlsd(facts=["type", "size", "modify", "perm", "unique"]))
    assert facts["kept.bin"]["type"] == "file" and facts["kept.bin"]["size"] == str(len(data)), facts
    assert "r" in facts["kept.bin"]["perm"] and "w" in facts["kept.bin"]["perm"], facts
    when = ftp.voidcmd("MDTM kept.bin").split()[1]
    assert facts["kept.bin"]["modify"].split(".")[0] == when.split(".")[0], (facts, when)
    ftp.dir("*.bin", rows.append)
    assert len(rows) == 1 and rows[0].endswith(" kept.bin") and str(len(data)) in rows[0], rows

    # A transfer that the client aborts, by ABOR out of band, and by closing.
    source = ftp.transfercmd("RETR kept.bin")
    source.recv(1000)
    answer = ftp.abort()
    source.close()
    # The transfer's reply comes first; 226 if all was in the buffers before ABOR came.
    assert answer[:3] in ("426", "226"), answer
    assert ftp.getresp()[:3] in ("225", "226")
    assert ftp.voidcmd("NOOP").startswith("2")
    source, size = ftp.ntransfercmd("RETR kept.bin")
    assert size in (None, len(data)), size
    source.recv(1000)
    source.close()
    try:
        ftp.voidresp()
    except ftplib.error_temp as e:
        assert str(e)[:3] in ("426", "451"), e
    assert ftp.voidcmd("NOOP").startswith("2")

    # An aborted upload leaves what was there.
    sink = ftp.transfercmd("STOR text")
    sink.sendall(b"x" * 100000)
    answer = ftp.abort()
    sink.close()
    assert answer[:3] == "426", answer
    assert ftp.getresp().startswith("226")
    kept = []
    ftp.retrbinary("RETR text", kept.append)
    assert b"".join(kept) == b"firstSECOND-third", kept

    # Names.
    ftp.rename("text", "renamed")
    refuses("550", ftp.delete, "text")
    refuses("550", ftp.rename, "text", "other")
    ftp.delete("renamed")
    refuses("550", ftp.size, "renamed")
    refuses("550", ftp.retrbinary, "RETR renamed", print)
    refuses("550", ftp.cwd, "nowhere")
    refuses("550", ftp.rmd, "nowhere")
    refuses("550", ftp.mkd, "kept.bin")
    refuses("550", ftp.rmd, "/" + directory)
    refuses("550", lambda: list(ftp.mlsd("nowhere")))

    # The rest of the class.
    assert ftp.sendcmd("SYST") == "215 UNIX Type: L8"
    assert ftp.sendcmd("ACCT nobody")[:3] == "202"
    ftp.set_pasv(not ftp.passiveserver)
    assert ftp.nlst() == ["kept.bin"]
    ftp.set_pasv(not ftp.passiveserver)
    assert ftp.nlst() == ["kept.bin"]
    ftp.cwd("/")


VERBS = {f.__name__: f for f in (upload, download, names, rename, remove, mkdir, rmdir,
                                 resume_download, resume_upload, again_upload, append_upload,
                                 store_upload, fetch, store, methods)}

if __name__ == "__main__":
    session = connect(*sys.argv[1:6])
    VERBS[sys.argv[6]](session, *sys.argv[7:])
    session.quit()
