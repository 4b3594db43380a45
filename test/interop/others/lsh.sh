#!/usr/bin/env bash
# lsh as a client, which has no key exchange in common with us; one line of JSON. See others-clients.test.ts.
export HOME=$PWD
mkdir -p .lsh
lsh-make-seed --sloppy -q -o .lsh/yarrow-seed-file >/dev/null 2>&1
said=$(lsh --sloppy-host-authentication --capture-to=/dev/null -p "$TARGET_PORT" -l "$TARGET_USER" "$TARGET_HOST" true 2>&1 </dev/null)
[ $? = 0 ] && ok=true || ok=false
echo "{\"step\":\"key\",\"ok\":$ok,\"error\":\"$(tr -d '"\\' <<<"$said" | tr -cs '[:print:]' ' ')\"}"
[ $ok = true ]
