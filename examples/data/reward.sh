#!/bin/sh
# A reward program for docs/data.md, with jq (Debian: apt-get install jq): 1 where the completion ends with a full stop.
exec jq --unbuffered --compact-output 'if .completion | endswith(".") then 1 else 0 end'
