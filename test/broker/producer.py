"""Puts messages on a queue, each confirmed; reads them as lines of JSON: {"id", "text", "contentType", "headers"}, text and contentType as bytes in Latin-1."""
import json
import sys

import pika

url, queue = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
channel.confirm_delivery()
for line in sys.stdin:
    message = json.loads(line)
    properties = pika.BasicProperties(
        message_id=message.get("id"),
        content_type=message.get("contentType"),
        headers=message.get("headers"),
        delivery_mode=2,
    )
    channel.basic_publish("", queue, message["text"].encode("latin-1"), properties)
connection.close()
