#!/usr/bin/env bash
# Runs a command as an ordinary user. Root uses it to see what such a user sees; anybody else just runs the command.
# The project and its Python may lie where that user cannot go, such as in root's home: in a mount namespace of their
# own they are put in their places again, with the way there open.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec "$@"

USER_ID=4242
HOME_OF_USER="$(mktemp -d)"
trap 'rm -rf "$HOME_OF_USER"' EXIT
chown "$USER_ID:$USER_ID" "$HOME_OF_USER"
PREFIX="$(.venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')"

show() {
    set -euo pipefail
    local path closed entry staged=()
    closed_part() { # the highest folder on the way to a path that others may not enter
        local part="" rest="$1" name
        IFS=/ read -ra names <<< "${rest#/}"
        for name in "${names[@]}"; do
            part="$part/$name"
            if [ $(( $(stat -c '0%a' "$part") & 1 )) = 0 ]; then echo "$part"; return; fi
        done
    }
    mount -t tmpfs -o mode=755 tmpfs /mnt
    for path in "$PWD" "$PREFIX"; do
        closed="$(closed_part "$path")"
        [ -n "$closed" ] || continue
        mkdir "/mnt/${#staged[@]}"
        mount --bind "$path" "/mnt/${#staged[@]}"
        staged+=("$path")
    done
    for path in "${staged[@]}"; do
        closed="$(closed_part "$path")"
        [ -z "$closed" ] || mount -t tmpfs -o mode=755 tmpfs "$closed"
    done
    for number in "${!staged[@]}"; do
        path="${staged[$number]}"
        mkdir -p "$path"
        for entry in "/mnt/$number"/* "/mnt/$number"/.[!.]*; do
            [ -e "$entry" ] || continue
            if [ -d "$entry" ]; then mkdir "$path/${entry##*/}"; else touch "$path/${entry##*/}"; fi
            mount --bind "$entry" "$path/${entry##*/}"
        done
    done
    cd "$PWD" # as it is now
    exec setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups -- env HOME="$HOME_OF_USER" TMPDIR="$HOME_OF_USER" \
        HYPOTHESIS_STORAGE_DIRECTORY="$HOME_OF_USER/.hypothesis" PYTHONDONTWRITEBYTECODE=1 "$@"
}
export USER_ID HOME_OF_USER PREFIX
export -f show
unshare --mount -- bash -c 'show "$@"' show "$@"
