# What the documents of the notes app and the todo page do, with their own means: `requests`, and JSON that is sent without a content type.
import json
import sys

import requests

url, todo = sys.argv[1:]
out = []


def show(response):
    stated = response.request.headers.get("Content-Type")
    out.append([stated, response.status_code, response.headers.get("Content-Type"), response.text])


note = {"title": "Milk", "description": "for the café", "created_at": "2017-08-23 00:00", "created_by": "me", "priority": 4}
show(requests.get(url + "/notes"))
show(requests.post(url + "/notes", data=json.dumps(note)))
number = requests.get(url + "/notes").json()["notes"][0]["id"]
show(requests.get(url + "/notes/%d" % number))
show(requests.put(url + "/notes/%d" % number, data=json.dumps(dict(note, title="Oat milk", priority="5"))))
show(requests.get(url + "/notes"))
show(requests.delete(url + "/notes/%d" % number))
show(requests.get(url + "/notes/%d" % number))
show(requests.put(url + "/notes/%d" % number, data=json.dumps(note)))
show(requests.delete(url + "/notes/%d" % number))
show(requests.patch(url + "/api/todos/" + todo, data=json.dumps({"completed": True})))
show(requests.patch(url + "/api/todos/" + todo, json={"completed": "False"}))
show(requests.patch(url + "/api/todos/999999", json={"completed": True}))
json.dump({"number": number, "answers": out}, sys.stdout)
