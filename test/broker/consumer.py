"""Listens to chats as a program that knows nothing of Tidings: declares each exchange, binds a queue of its own, prints what comes.

consumer.py <url> <uri>...          the exchanges of chats
consumer.py <url> --queue <name>    a durable queue
"""
import json
import sys

import pika


def show(_channel, method, properties, body):
    print(json.dumps({
        "exchange": method.exchange,
        "routingKey": method.routing_key,
        "id": properties.message_id,
        "timestamp": properties.timestamp,
        "contentType": properties.content_type,
        "headers": properties.headers,
        "text": body.decode("utf-8", "replace"),
    }), flush=True)


url, *names = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
if names[0] == "--queue":
    queue = channel.queue_declare(queue=names[1], durable=True).method.queue
else:
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    for uri in names:
        channel.exchange_declare(exchange=uri, exchange_type="fanout")
        channel.queue_bind(exchange=uri, queue=queue)
channel.basic_consume(queue=queue, on_message_callback=show, auto_ack=True)
print("ready", flush=True)
channel.start_consuming()
