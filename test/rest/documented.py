# What the documents of the notes app and the todo page do, with their own means: `requests`, and JSON that is sent without a content type.
import json
import sys

import requests

url, todo = sys.argv[1:]
out = []


def tell(response):
    stated = response.request.headers.get("Content-Type")
    out.append([stated, response.status_code, response.headers.get("Content-Type"), response.text])


note = {"title": "Milk", "description": "for the café", "created_at": "2017-08-23 00:00", "created_by": "me", "priority": 4}
tell(requests.get(url + "/notes"))
tell(requests.post(url + "/notes", data=json.dumps(note)))
number = requests.get(url + "/notes").json()["notes"][0]["id"]
tell(requests.get(url + "/notes/%d" % number))
tell(requests.put(url + "/notes/%d" % number, data=json.dumps(dict(note, title="Oat milk", priority="5"))))
tell(requests.get(url + "/notes"))
tell(requests.delete(url + "/notes/%d" % number))
tell(requests.get(url + "/notes/%d" % number))
tell(requests.put(url + "/notes/%d" % number, data=json.dumps(note)))
tell(requests.delete(url + "/notes/%d" % number))
tell(requests.patch(url + "/api/todos/" + todo, data=json.dumps({"completed": True})))
tell(requests.patch(url + "/api/todos/" + todo, json={"completed": "False"}))
tell(requests.patch(url + "/api/todos/999999", json={"completed": True}))
json.dump({"number": number, "answers": out}, sys.stdout)
