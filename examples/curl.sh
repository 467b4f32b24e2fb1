#!/bin/sh
# Each event's `id:` is its cursor; sending the last one as `Last-Event-ID` goes on where the stream was cut.
url=$1/graphql username=$2 password=$3
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

post() { curl -s --retry 60 --retry-delay 1 --retry-connrefused --json "$1" -H "Authorization: Bearer $token" "$url"; }
field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

# Keeps the tokens of a response; ends the script when it has none.
sign_in() {
  response=$(post "$1")
  token=$(echo "$response" | field token) refresh=$(echo "$response" | field refreshToken)
  [ -n "$token" ] || { echo "Signed out: $response" >&2; exit 1; }
}
pair='{ ... on TokenPair { token refreshToken } ... on Error { message } }'
renew() { sign_in "{\"query\":\"mutation { refreshToken(refreshToken: \\\"$refresh\\\") $pair }\"}"; }

# Prints the list, and keeps the cursor after which its changes follow.
load() {
  response=$(post '{"query":"query Todos { cursor todos(first: 100) { nodes { title } } }"}')
  last=$(echo "$response" | field cursor)
  case $response in
    *'"UNAUTHENTICATED"'*) renew && load ;;
    *) echo "SNAPSHOT $response" ;;
  esac
}

sign_in "{\"query\":\"mutation { obtainToken(input: { username: \\\"$username\\\", password: \\\"$password\\\" }) $pair }\"}"
load
while :; do
  : >"$state/error"
  curl -sN --get "$url" \
    --data-urlencode 'query=subscription TodoChanges { todoChanged { action cursor id todo { id title } } }' \
    -H 'Accept: text/event-stream' -H "Authorization: Bearer $token" ${last:+-H "Last-Event-ID: $last"} |
    while read -r name value; do
      case $name$value in
        id:*) echo "$value" >"$state/last" ;;
        data:*'"errors"'*) echo "$value" >"$state/error" ;;
        data:?*) echo "$value" ;;
        [!:]*'"errors"'*) echo "$name $value" >&2 ;;
      esac
    done
  last=$(cat "$state/last" 2>/dev/null || echo "$last")
  case $(field code <"$state/error") in
    UNAUTHENTICATED) renew ;;
    RESYNC_REQUIRED) rm -f "$state/last"; load ;;
    '') sleep 1 ;; # The server was not reached, or it is about to stop.
    *) cat "$state/error" >&2; exit 1 ;;
  esac
done
