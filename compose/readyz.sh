#!/bin/bash
# readyz PORT: exit status 0 if GET http://127.0.0.1:PORT/readyz answers 200. The image has neither
# curl nor wget, but bash can speak TCP.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
