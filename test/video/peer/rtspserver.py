#!/usr/bin/python3
"""An RTSP server on loopback that serves one GStreamer pipeline.

usage: rtspserver.py PIPELINE [--user USER:PASSWORD] [--port PORT]
It prints its port, and ends when its standard input does.
"""
import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

options = argparse.ArgumentParser()
options.add_argument("pipeline")
options.add_argument("--user", default="")
options.add_argument("--port", default="0")
options = options.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(options.port)

factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(options.pipeline)
factory.set_shared(True)

if options.user:
    user, password = options.user.split(":", 1)
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)

server.get_mount_points().add_factory("/live", factory)
if server.attach(None) == 0:
    sys.exit("the server can't listen")

loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP | GLib.IO_IN | GLib.IO_ERR, lambda *_: loop.quit())
print(server.get_bound_port(), flush=True)
loop.run()
