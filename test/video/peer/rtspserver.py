#!/usr/bin/python3
"""An RTSP server on loopback that serves one GStreamer pipeline.

usage: rtspserver.py PIPELINE [--user USER:PASSWORD] [--port PORT] [--frame BYTES] [--tls PEM]
With --tls, a file with certificate and key, it speaks RTSP over TLS alone.
With --frame, the pipeline's appsrc "camera" gets frames of that size from file
descriptor 3 while somebody plays. It prints its port, and ends when its standard
input does.
"""
import argparse
import os
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

options = argparse.ArgumentParser()
options.add_argument("pipeline")
options.add_argument("--user", default="")
options.add_argument("--port", default="0")
options.add_argument("--frame", type=int, default=0)
options.add_argument("--tls", default="")
options = options.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(options.port)

factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(options.pipeline)
factory.set_shared(True)

auth = GstRtspServer.RTSPAuth()
if options.tls:
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.tls))
    server.set_auth(auth)
if options.user or options.tls:
    user, password = (options.user or "admin:unasked").split(":", 1)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    if not options.user:
        auth.set_default_token(token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)



def feed(source, frames):
    while True:
        frame = frames.read(options.frame)
        if len(frame) < options.frame or source.emit("push-buffer", Gst.Buffer.new_wrapped(frame)) != Gst.FlowReturn.OK:
            return


def configured(_, media):
    source = media.get_element().get_by_name("camera")
    threading.Thread(target=feed, args=(source, os.fdopen(os.dup(3), "rb")), daemon=True).start()


if options.frame:
    factory.connect("media-configure", configured)

server.get_mount_points().add_factory("/live", factory)
if server.attach(None) == 0:
    sys.exit("the server can't listen")

loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP | GLib.IO_IN | GLib.IO_ERR, lambda *_: loop.quit())
print(server.get_bound_port(), flush=True)
loop.run()
