#!/usr/bin/env bash
# Images as people make them, from a registry to the words of a running app: many layers of which later ones take away and replace what earlier
# ones left, an index of several platforms, entrypoint and command in every combination, a user who is not root, variables of image and app, a
# volume where the app wants it. What several images share is kept once.
# one shape only: node
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_containerd_up
bench_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
bench_registry start

# ---- the layers, and the images made of them ----
layers=$LAB_ROOT.layers
mkdir -p "$layers"
here=$(dpkg --print-architecture)
"$EVE_SOURCE/scripts/container-registry" base-layer "$layers/base.tar"
# layer NAME FILE=CONTENT...: a layer of these files.
layer() {
    local name=$1 file
    shift
    mkdir -p "$layers/$name"
    for file in "$@"; do mkdir -p "$layers/$name/$(dirname "${file%%=*}")"; printf '%s\n' "${file#*=}" >"$layers/$name/${file%%=*}"; done
    (cd "$layers/$name" && find . -mindepth 1 -printf '%P\n' | tar --owner=0 --group=0 --numeric-owner --no-recursion -T - -cf "../$name.tar")
}
layer many data/kept=kept data/gone=gone data/changed=before old/one=1 old/two=2
layer gone data/.wh.gone= old/.wh..wh..opq= old/three=3
layer changed data/changed=after
layer wrong wrong=wrong
# push NAME TAG ARCH CONFIG LAYER...; the first process of a container hears no other signal to stop than this one.
push() {
    local name=$1 tag=$2 arch=$3 config
    config=$(jq -c '. + {StopSignal: "SIGKILL"}' <<<"$4")
    shift 4
    bench_registry push-layers "$name" "$tag" "$arch" "$config" "$@"
}
stay='exec sleep 1000'
push stacked latest "$here" '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo data $(ls /data); echo changed $(cat /data/changed); echo old $(ls /old); echo told; '"$stay"'"]}' \
    "$layers"/{base,many,gone,changed}.tar
push platforms "$here" "$here" '{"Entrypoint":["/bin/sh","-c","echo of this machine; '"$stay"'"]}' "$layers/base.tar"
push platforms riscv64 riscv64 '{"Entrypoint":["/bin/sh","-c","echo of another; '"$stay"'"]}' "$layers"/{base,wrong}.tar
bench_registry push-index platforms latest riscv64 "$here"
push command latest "$here" '{"Cmd":["/bin/sh","-c","echo by command alone; cat /data/*; '"$stay"'"]}' "$layers/base.tar"
push both latest "$here" '{"Entrypoint":["/bin/sh","-c","echo $0 and $1; '"$stay"'"],"Cmd":["entrypoint","command"]}' "$layers/base.tar"
push user latest "$here" '{"User":"web","WorkingDir":"/www","Env":["FROM=image","KEPT=yes"],
    "Cmd":["/bin/sh","-c","echo user $(id -u):$(id -g) in $(pwd); echo $FROM $KEPT $MORE; touch /etc/x || echo may not; '"$stay"'"]}' "$layers/base.tar"
echo "of a volume" | dd of="$LAB_WWW/data.raw" bs=512 count=1 conv=sync status=none

# ---- the apps ----
ca=$(base64 -w0 "$registry/ca.pem")
sha=$(sha256sum "$LAB_WWW/data.raw" | cut -d' ' -f1)
program="registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | local_network(1; \"10.31.0\"; \"eth0\")" n=0
for name in stacked platforms command both user; do
    n=$((n + 1))
    variables=''
    [ $name != user ] || variables='FROM=app\nMORE=more'
    program+=" | container_image($n; \"$name:latest\"; 2) | container($n; \"$name\"; $n; 1; [allow_all]; \"$variables\")"
done
program+=" | image(9; \"data.raw\"; \"$sha\"; 512; \"RAW\") | volume(9; 9) | .apps[2].volumeRefList += [{uuid: volume_uuid(9), generationCount: \"0\", mountDir: \"/data\"}]"
ca=$ca bench_config "(\$ENV.ca) as \$ca | $program"
for name in stacked platforms command both user; do lab_ctl wait "$name" RUNNING --timeout 90; done

await_console stacked "^told" 30
check "a layer takes away what one below it left" console_has stacked '^data changed kept$'
check "and replaces it" console_has stacked '^changed after$'
check "an opaque directory has nothing of the layers below" console_has stacked '^old three$'
check "of an index, this machine's image runs" await_console platforms '^of this machine$' 30
check "a command runs without an entrypoint" await_console command '^by command alone$' 30
check "an entrypoint has the command as its arguments" await_console both '^entrypoint and command$' 30
check "a user who is not root is where the image says" await_console user '^user 1000:1000 in /www$' 30
check "with the image's variables, the app's in their place, and the app's own" console_has user '^app yes more$'
check "and may not write what is root's" console_has user '^may not$'
check "a volume is where the app wants it" await_console command 'of a volume' 10

# ---- what is shared is there once ----
images=$(lab_ctl images --json)
base=$(jq -r '[.[].blobs[].digest] | group_by(.) | map(select(length == 5)) | .[0][0] // "none"' <<<"$images")
check "five images share a layer" [ "$base" != none ]
kept() { find "$LAB_ROOT/persist" -path '*/blobs/sha256/*' -type f; }
check "which is kept once" [ "$(kept | grep -c "${base#sha256:}")" = 1 ]
check "every blob is an image's" diff <(kept | sed 's|.*/||' | sort) <(jq -r '.[].blobs[].digest | sub("sha256:"; "")' <<<"$images" | sort -u)

# An app goes, and with it what was its alone.
alone=$(jq -r '.[] | select(.used_by == ["stacked"]) | .blobs[].digest' <<<"$images" | grep -v "$base" | sort)
ca=$ca bench_config "(\$ENV.ca) as \$ca | $program | .apps |= map(select(.displayname != \"stacked\")) | .volumes |= .[1:] | .contentInfo |= .[1:]"
none_of_them() { ! kept | sed 's|.*/|sha256:|' | grep -qxF "$alone"; }
check "what only an app had that is gone goes" lab_until 60 "the blobs" none_of_them
check "what others use stays" [ "$(kept | grep -c "${base#sha256:}")" = 1 ]
for name in platforms command both user; do check "$name runs on" [ "$(app_field $name .state)" = RUNNING ]; done
bench_nothing_left
