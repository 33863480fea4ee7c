# bash completion for pync
# Made from the table in pync/options.py by `python -m pync.cli.generate`: do not edit.

# Reads the word $1: `option` becomes the option in it that takes a value, `before` what stands in
# front of the value where the word holds that as well, `paths` 1 when the word asks for unix sockets,
# `mode` the mode that it asks for, if other options have no use in that.
_pync_read() {
    local at
    option='' before=''
    case $1 in
        --*=*) option=${1%%=*} before=${1%%=*}= ;;
        --source | --source-port | --send-proxy | --quit-after | --recv-limit | --timeout | --connect-timeout | --idle-timeout | --total-timeout | --interval | --delay | --rate | --datagram-size | --output | --hex-dump | --output-dir | --hash | --recv-buffer | --send-buffer | --tos | --ttl | --min-ttl | --keepalive-times | --interface | --port-file | --max-conns | --allow | --deny | --allowfile | --denyfile | --proxy-protocol-from | --backlog | --workers | --loop | --exec | --sh-exec | --http-root | --max-upload | --auth | --wait | --retry | --parallel | --watch | --pid | --name | --size) option=$1 ;;
        --unix | --unixsock) paths=1 ;;
        --zero) mode=zero ;;
        --ports) mode=ports ;;
        -h | --help) option=--help ;;
        --*) ;;
        -*)
            for ((at = 1; at < ${#1}; at++)); do
                case ${1:at:1} in
                    U) paths=1 ;;
                    z) mode=zero ;;
                    [spqWwioIOTMmec])
                        option=-${1:at:1}
                        ((at + 1 < ${#1})) && before=${1:0:at+1}
                        return 0
                        ;;
                esac
            done
            ;;
    esac
}

# Offers what compgen makes of the arguments from $2 on, each with $1 in front.
_pync_offer() {
    local found before=$1
    shift
    while IFS= read -r found; do
        COMPREPLY+=("$before$found")
    done < <(compgen "$@")
}

# Offers the files ($2 is -f) or directories (-d) that begin with $3, each with $1 in front.
_pync_files() {
    compopt -o filenames 2>/dev/null # outside of a completion, and in bash 3, there is none
    _pync_offer "$1" "$2" -- "$3"
}

# Offers the programs that begin with $2, each with $1 in front: nothing that only the shell knows.
_pync_commands() {
    local found
    [[ $2 == */* ]] && compopt -o filenames 2>/dev/null
    while IFS= read -r found; do
        if [[ $2 == */* && -d $found ]] || type -P -- "$found" >/dev/null; then
            COMPREPLY+=("$1$found")
        fi
    done < <(compgen -c -- "$2")
}

# Offers the values of the option $1 that begin with $3, each with $2 in front.
_pync_value() {
    case $1 in
        redirection | -o | --output | --hex-dump | --port-file | --allowfile | --denyfile) _pync_files "$2" -f "$3" ;;
        --output-dir) _pync_files "$2" -d "$3" ;;
        --hash) _pync_offer "$2" -W 'blake2b blake2s md5 sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512' -- "$3" ;;
        -T | --tos) _pync_offer "$2" -W 'lowdelay throughput reliability lowcost inetcontrol netcontrol critical ef cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43' -- "$3" ;;
        --loop) _pync_offer "$2" -W 'quick asyncio uvloop' -- "$3" ;;
        -e | --exec) _pync_commands "$2" "$3" ;;
        -c | --sh-exec) _pync_commands "$2" "$3" ;;
        --http-root) _pync_files "$2" -d "$3" ;;
        --help) _pync_offer "$2" -W 'mode address end-of-data time data socket listen run service http probe see all' -- "$3" ;;
    esac
}

# Offers the options that begin with $1 and are of use in the mode.
_pync_options() {
    case $mode in
        zero) _pync_offer '' -W '-u --udp -U --unix --unixsock -z --zero -4 --ipv4 -6 --ipv6 -n --nodns -s --source -p --source-port -r --random-ports -b --broadcast -w --timeout --connect-timeout --total-timeout -i --interval -T --tos -M --ttl -m --min-ttl --interface --wait --until-closed --parallel --banner --json -v --verbose --version -h --help' -- "$1" ;;
        ports) _pync_offer '' -W '-u --udp -U --unix --unixsock --ports -4 --ipv4 -6 --ipv6 -n --nodns --watch --all --pid --name --json -v --verbose --version -h --help' -- "$1" ;;
        *) _pync_offer '' -W '-l --listen -k --keep-open -u --udp -U --unix --unixsock -z --zero --ports -4 --ipv4 -6 --ipv6 -n --nodns -s --source -p --source-port -r --random-ports -b --broadcast --send-proxy -N --shutdown --no-shutdown -q --quit-after -d --no-stdin --send-only --recv-only -W --recv-limit -w --timeout --connect-timeout --idle-timeout --total-timeout -i --interval --delay --rate -C --crlf -t --telnet --lines --datagram-size -o --output --hex-dump --append-output --stamp --prefix --output-dir --hash -I --recv-buffer -O --send-buffer -T --tos -M --ttl -m --min-ttl -D --debug-socket --keepalive --keepalive-times --interface --port-file --max-conns --allow --deny --allowfile --denyfile --proxy-protocol --proxy-protocol-from --backlog --reuse-port --workers --loop -e --exec -c --sh-exec --echo --hello --discard --chargen --daytime --time --upper --http --http-root --http-upload --overwrite --max-upload --auth --wait --until-closed --retry --parallel --banner --watch --all --pid --name --progress --size --json -v --verbose --version -h --help' -- "$1" ;;
    esac
}

# Whether $1 redirects: the file behind it is the shell's business, not ours.
_pync_redirects() {
    case $1 in
        [\<\>]* | [0-9][\<\>]* | \&\>*) return 0 ;;
    esac
    return 1
}

_pync() {
    local word current=${COMP_WORDS[COMP_CWORD]} option='' before='' paths='' mode='' ended='' operands=0 at
    local IFS=$' \t\n'
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $option == --* && $word == = ]]; then
            continue # readline has cut `--output=FILE` into three words
        elif [[ $option ]]; then
            option=''
        elif _pync_redirects "$word"; then
            option=redirection
        elif [[ $ended || $word != -?* ]]; then
            ((operands++))
        elif [[ $word == -- ]]; then
            ended=1
        else
            _pync_read "$word"
            [[ $before ]] && option=''
        fi
    done

    if [[ $option ]]; then
        [[ $option == --* && $current == = ]] && current=''
        _pync_value "$option" '' "$current"
    elif [[ ! $ended && $current == -* ]]; then
        _pync_read "$current"
        if [[ $before ]]; then
            _pync_value "$option" "$before" "${current#"$before"}"
        else
            _pync_options "$current"
        fi
    elif ((operands > 0)) || [[ $mode == ports ]]; then
        [[ $current == [A-Za-z]* && ! $paths ]] && _pync_offer '' -A service -- "$current"
    elif [[ $paths ]]; then
        _pync_files '' -f "$current"
    else
        _pync_offer '' -A hostname -- "$current"
    fi
}

complete -F _pync pync
