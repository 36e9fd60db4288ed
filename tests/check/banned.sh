#!/usr/bin/env bash
# Functions that cannot know the size of what they write or tell an error, promises of later work,
# and paths of one machine.
source "$(dirname "$0")/common.sh"
status=0
functions='\b(strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|alloca)[[:space:]]*\('
promises='\b(TODO|FIXME|XXX|HACK)\b'
# Written so that this file does not match itself.
machine='/(roo[t]|hom[e]|User[s]|wor[k])/[A-Za-z0-9_.]'

while read -r file; do
    if found=$(sed 's|//.*||' "$file" | grep -nE "$functions"); then
        echo "$file: banned function: line $found"
        status=1
    fi
    # gcc may leave it out: see the header that is for it.
    if [ "$file" != libcommon/base/prefetch.h ] && grep -n '__builtin_prefetch' "$file"; then
        echo "$file: __builtin_prefetch outside libcommon/base/prefetch.h"
        status=1
    fi
    if sed 's|//.*||' "$file" | grep -n 'nng_fini'; then
        echo "$file: nng_fini aborts now and then; libcommon/io/nng_close.h says why"
        status=1
    fi
done < <(files '*.c' '*.h')
if files '*.c' '*.h' '*.mjs' '*.js' '*.sh' '*.proto' '*.sql' '*.yaml' '*.yml' Makefile |
    grep -v '^tests/check/' | xargs -r -d '\n' grep -nE "$promises" /dev/null; then
    echo 'unfinished by its own words'
    status=1
fi
# Ada is the user of our examples.
if files | xargs -r -d '\n' grep -InE "$machine" /dev/null | grep -v '/home/ada/'; then
    echo 'a path of one machine'
    status=1
fi
exit $status
