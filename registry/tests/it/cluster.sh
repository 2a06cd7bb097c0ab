# A private PostgreSQL cluster that lives as long as its standard input stays open: prints its folder when
# it is up, restarts on the line "restart", and leaves nothing behind. Usage: sh cluster.sh BIN
set -eu
bin=$1
dir=$(mktemp -d)
as=
if [ "$(id -u)" = 0 ]; then
  chown postgres: "$dir"
  as="runuser -u postgres --"
fi
stop() {
  (cd "$dir" && $as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1) || true
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM
cd "$dir"
$as "$bin/initdb" -D "$dir/data" -U sealway -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
options="-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c synchronous_commit=off -c max_connections=200"
$as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w start -o "$options" </dev/null >/dev/null 2>&1
echo "$dir"
while read -r command; do
  if [ "$command" = restart ]; then
    $as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -m fast -w restart -o "$options" </dev/null >/dev/null 2>&1
    echo restarted
  fi
done
