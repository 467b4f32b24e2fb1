#!/bin/sh
# Each event's `id:` is its cursor; sending the last one as `Last-Event-ID` goes on where the stream was cut.
url=$1 token=$2 last=
while :; do
  curl -sN --get "$url/graphql" \
    --data-urlencode 'query=subscription TodoChanges { todoChanged { action cursor id todo { id title } } }' \
    -H 'Accept: text/event-stream' -H "Authorization: Bearer $token" ${last:+-H "Last-Event-ID: $last"} |
    while read -r field value; do
      case $field in
        id:) echo "$value" >"${TMPDIR:-/tmp}/last-event.$$" ;;
        data:) [ -n "$value" ] && echo "$value" ;;
      esac
    done
  last=$(cat "${TMPDIR:-/tmp}/last-event.$$" 2>/dev/null)
  sleep 1
done
