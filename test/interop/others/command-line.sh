#!/usr/bin/env bash
# Clients that are commands (ssh, autossh, dbclient, plink): the command, then one mode a run, one line of JSON a step. See others-clients.test.ts.
set -uo pipefail
client=$1
mode=$2
step=start

fail() {
  local why
  why=$(tail -n 3 "$mode.err" | tr -d '"\\' | tr -cs '[:print:]' ' ')
  echo "{\"step\":\"$step\",\"ok\":false,\"error\":\"$* $why\"}"
  exit 1
}
done_() { echo "{\"step\":\"$step\",\"ok\":true}"; }
is() { [ "$1" = "$2" ] || fail "$1 is not $2"; }

home="$PWD/$mode"
mkdir -p "$home/.ssh"
export HOME=$home
: >"$mode.err"
case $client in
  ssh | autossh)
    # Only its defaults, but for the files.
    files=(-F none -o UserKnownHostsFile="$TARGET_KNOWN" -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -p "$TARGET_PORT")
    key=(ssh "${files[@]}" -o BatchMode=yes -i "$TARGET_KEY")
    password=(sshpass -e ssh "${files[@]}" -o PreferredAuthentications=password)
    export SSHPASS=$TARGET_PASSWORD
    through=(-W "$PEER:$LINE")
    if [ "$client" = autossh ]; then
      # Every 2 seconds it sends something through the board and back, on two ports of its own, and starts ssh again if that fails.
      key=(autossh -M $((20000 + RANDOM % 10000)) "${key[@]:1}")
      export AUTOSSH_GATETIME=0 AUTOSSH_FIRST_POLL=1 AUTOSSH_POLL=2
    fi
    ;;
  dbclient)
    # It looks hosts up without their ports, and takes a comment for a part of the key.
    sed -E 's/^\[([^]]*)\]:[0-9]+ (\S+ \S+).*/\1 \2/' "$TARGET_KNOWN" >"$home/.ssh/known_hosts"
    dropbearconvert openssh dropbear "$TARGET_KEY" "$home/key" 2>>"$mode.err"
    key=(dbclient -p "$TARGET_PORT" -i "$home/key")
    password=(dbclient -p "$TARGET_PORT")
    export DROPBEAR_PASSWORD=$TARGET_PASSWORD
    through=(-B "$PEER:$LINE")
    ;;
  plink)
    puttygen "$TARGET_KEY" -O private -o "$home/key.ppk" --old-passphrase /dev/null --new-passphrase /dev/null 2>>"$mode.err"
    files=(-batch -ssh -no-antispoof -P "$TARGET_PORT")
    while read -r _ fingerprint _; do files+=(-hostkey "$fingerprint"); done < <(cut -d' ' -f2- "$TARGET_KNOWN" | ssh-keygen -lf -)
    key=(plink "${files[@]}" -i "$home/key.ppk")
    password=(plink "${files[@]}" -pw "$TARGET_PASSWORD")
    through=(-nc "$PEER:$LINE")
    ;;
esac
at="$TARGET_USER@$TARGET_HOST"

# The same bytes every time.
bytes() { head -c "$1" < <(seq 1000000); }

server() {
  step=exec
  is "$("${key[@]}" "$at" 'echo hello' 2>>"$mode.err" </dev/null)" hello
  step=key done_
  done_
  step=status
  "${key[@]}" "$at" 'fail 7' 2>"$mode.stderr" </dev/null
  is $? 7
  grep -q 'as you wish' "$mode.stderr" || fail 'stderr'
  done_
  step=cat
  is "$(bytes 2097152 | "${key[@]}" "$at" cat 2>>"$mode.err" | sha256sum)" "$(bytes 2097152 | sha256sum)"
  done_
  step=idle
  is "$( (echo before; sleep "$IDLE"; echo after) | "${key[@]}" "$at" cat 2>>"$mode.err")" $'before\nafter'
  done_
  step=password
  is "$("${password[@]}" "$at" 'echo in' 2>>"$mode.err" </dev/null)" in
  done_
}

consume() {
  step=half-close
  is "$(bytes 300000 | "${key[@]}" "${through[@]}" "$at" 2>>"$mode.err" | sha256sum)" "$(bytes 300000 | sha256sum)"
  done_
}

provide() {
  step=plugged
  # Both the alias and that the line is there are said in a session without a command.
  exec "${key[@]}" -T -R "$LINE:localhost:$ECHO" "$at"
}

once() {
  step=run
  is "$("${key[@]}" "$at" 'echo out; exit 3' 2>>"$mode.err" </dev/null; echo $?)" $'out\n3'
  done_
}

"$mode"
