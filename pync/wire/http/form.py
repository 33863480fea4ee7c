"""The form with which a browser sends files (--http-upload): part of a listing, with one script of our own.

The script sends the files one after another, each as the body of a PUT. So there is no multipart to parse, and
a form on another site cannot send such a request (Fetch, "CORS-preflight fetch").
"""

from __future__ import annotations

from pync.wire.http.pages import POLICY

SCRIPT = """
"use strict";
const list = document.getElementById("sending"), queue = [];
let busy = false, stored = 0, failed = 0;
function add(files) {
  for (const file of files) {
    const row = document.createElement("li"), bar = document.createElement("progress");
    const note = document.createElement("span"), stop = document.createElement("button");
    const job = {file, bar, note, stop, request: null, cancelled: false};
    bar.max = 1; bar.value = 0; stop.type = "button"; stop.textContent = "Cancel";
    stop.onclick = () => {
      job.cancelled = true;
      if (job.request) job.request.abort(); else end(job, "cancelled");
    };
    row.append(file.name + " ", bar, " ", note, " ", stop);
    list.append(row);
    queue.push(job);
  }
  next();
}
function end(job, text) {
  job.note.textContent = text;
  job.stop.remove();
}
function next() {
  if (busy) return;
  const job = queue.find(job => !job.cancelled);
  if (!job) {
    if (stored && !failed) location.reload();
    return;
  }
  queue.splice(0, queue.indexOf(job) + 1);
  busy = true;
  const request = job.request = new XMLHttpRequest();
  request.upload.onprogress = event => {
    job.bar.value = event.loaded / Math.max(1, event.total);
    job.note.textContent = Math.floor(100 * job.bar.value) + " %";
  };
  request.onloadend = () => {
    busy = false;
    if (request.status === 201) stored++; else failed++;
    end(job, request.status === 201 ? "stored" : job.cancelled ? "cancelled" : request.statusText || "failed");
    next();
  };
  request.open("PUT", "./" + encodeURIComponent(job.file.name));
  request.send(job.file);
}
document.getElementById("files").onchange = event => add(event.target.files);
document.ondragover = event => event.preventDefault();
document.ondrop = event => { event.preventDefault(); add(event.dataTransfer.files); };
"""
FORM = (
    '<p><label>Send files: <input type="file" id="files" multiple></label> or drop them on this page.</p>\n'
    "<noscript><p>Without JavaScript: <code>curl -T FILE</code> and the address of this page.</p></noscript>\n"
    f'<ul id="sending"></ul>\n<script type="module">{SCRIPT}</script>\n'
)
#: A listing with the form may run this script and send to us. The hash is that of SCRIPT (CSP 3, 8.5).
FORM_POLICY = f"{POLICY}; script-src 'sha256-1jbCO4mXjUZp7BDMIP63QIfGlMKHXjKcetyoNoDvc2A='; connect-src 'self'"
