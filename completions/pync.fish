# fish completion for pync
# Made from the table in pync/options.py by `python -m pync.cli.generate`: do not edit.

# What stands at the cursor, if it is no option: host, path or service; with -m only the mode that is asked for, if any.
function __pync_wanted
    set -l asked $argv[1]
    set -l words (commandline -opc)
    set -e words[1]
    argparse l/listen k/keep-open u/udp U/unix unixsock z/zero ports 4/ipv4 6/ipv6 n/nodns s/source=+ p/source-port=+ r/random-ports b/broadcast send-proxy=+ N/shutdown no-shutdown q/quit-after=+ d/no-stdin send-only recv-only W/recv-limit=+ w/timeout=+ connect-timeout=+ idle-timeout=+ total-timeout=+ i/interval=+ delay=+ rate=+ C/crlf t/telnet lines datagram-size=+ o/output=+ hex-dump=+ append-output stamp prefix output-dir=+ hash=+ I/recv-buffer=+ O/send-buffer=+ T/tos=+ M/ttl=+ m/min-ttl=+ D/debug-socket keepalive keepalive-times=+ interface=+ port-file=+ max-conns=+ allow=+ deny=+ allowfile=+ denyfile=+ proxy-protocol proxy-protocol-from=+ backlog=+ reuse-port workers=+ loop=+ e/exec=+ c/sh-exec=+ echo hello discard chargen daytime time upper http http-root=+ http-upload overwrite max-upload=+ auth=+ wait=+ until-closed retry=+ parallel=+ banner watch=+ all pid=+ name=+ progress size=+ json v/verbose version h/help -- $words 2>/dev/null
    or return
    if test "$asked" = -m
        set -q _flag_zero; and echo zero; and return
        set -q _flag_ports; and echo ports; and return
        return 1
    else if set -q _flag_unix; or set -q _flag_unixsock
        test (count $argv) -eq 0; and echo path
    else if test (count $argv) -gt 0; or set -q _flag_ports
        string match -qr '^[a-zA-Z]' -- (commandline -ct); and echo service
    else
        echo host
    end
end

# Whether an option is of use: the mode is none of these.
function __pync_unless
    not contains -- (__pync_wanted -m; or echo none) $argv
end

function __pync_services
    string replace -rf '^([a-zA-Z][^\s#]*)\s+\d+/.*' '$1' </etc/services | sort -u
end

# What is typed of a value, whether in the word of its option or in its own.
function __pync_typed
    commandline -ct | string replace -r '^--[^=]*=' ''
end

function __pync_directories
    __fish_complete_directories (__pync_typed)
end

# The programs, and directories on the way to one: nothing that only the shell knows.
function __pync_commands
    set -l typed (__pync_typed)
    for found in (complete -C "$typed")
        set -l word (string split -m 1 \t -- $found)[1]
        if command -q -- $word; or string match -q '*/' -- $word
            echo $word
        end
    end
end

complete -c pync -f
complete -c pync -n 'contains host (__pync_wanted)' -a '(__fish_print_hostnames)'
complete -c pync -n 'contains path (__pync_wanted)' -F
complete -c pync -n 'contains service (__pync_wanted)' -a '(__pync_services)'
complete -c pync -s l -l listen -n '__pync_unless zero ports' -d 'wait for a connection instead of making one'
complete -c pync -s k -l keep-open -n '__pync_unless zero ports' -d 'with -l: serve many connections at the same time; else it changes nothing'
complete -c pync -s u -l udp -d 'datagrams instead of a stream'
complete -c pync -s U -l unix -l unixsock -d 'unix-domain socket: the operand is a path, @name an abstract one'
complete -c pync -s z -l zero -n '__pync_unless ports' -d 'probe ports, exchange no data; 0 when a port is open'
complete -c pync -l ports -n '__pync_unless zero' -d 'show this machine\'s bound ports; 1 when none of those asked for is bound'
complete -c pync -s 4 -l ipv4 -d 'IPv4 only'
complete -c pync -s 6 -l ipv6 -d 'IPv6 only'
complete -c pync -s n -l nodns -d 'numeric addresses and ports only, no look-up'
complete -c pync -s s -l source -n '__pync_unless ports' -x -d 'local address; with -l the address to bind, with -U the local path'
complete -c pync -s p -l source-port -n '__pync_unless ports' -x -d 'local port; with -l the port to listen on'
complete -c pync -s r -l random-ports -n '__pync_unless ports' -d 'take the ports of a range in random order'
complete -c pync -s b -l broadcast -n '__pync_unless ports' -d 'allow sending to a broadcast address'
complete -c pync -l send-proxy -n '__pync_unless zero ports' -x -d 'begin with a PROXY header of version 1 or 2, which tells our address'
complete -c pync -s N -l shutdown -n '__pync_unless zero ports' -d 'half-close as soon as our input ends (by default: nearly always)'
complete -c pync -l no-shutdown -n '__pync_unless zero ports' -d 'never half-close; leave on the peer\'s end of data, or by -q'
complete -c pync -s q -l quit-after -n '__pync_unless zero ports' -x -d 'leave TIME after our input ended; negative: wait for ever'
complete -c pync -s d -l no-stdin -n '__pync_unless zero ports' -d 'do not read standard input'
complete -c pync -l send-only -n '__pync_unless zero ports' -d 'send only: what arrives is thrown away'
complete -c pync -l recv-only -n '__pync_unless zero ports' -d 'receive only: standard input is not read'
complete -c pync -s W -l recv-limit -n '__pync_unless zero ports' -x -d 'leave after N received packets (UDP) or reads (TCP)'
complete -c pync -s w -l timeout -n '__pync_unless ports' -x -d 'limit for the look-up, for connecting to each address, and for silence later'
complete -c pync -l connect-timeout -n '__pync_unless ports' -x -d 'limit for the look-up, and for connecting to each address'
complete -c pync -l idle-timeout -n '__pync_unless zero ports' -x -d 'end with exit code 3 after TIME without a byte either way'
complete -c pync -l total-timeout -n '__pync_unless ports' -x -d 'end with exit code 3 after TIME in all'
complete -c pync -s i -l interval -n '__pync_unless ports' -x -d 'pause TIME between lines sent, and between ports'
complete -c pync -l delay -n '__pync_unless zero ports' -x -d 'pause TIME between reads and writes'
complete -c pync -l rate -n '__pync_unless zero ports' -x -d 'at most SIZE bytes a second, each direction'
complete -c pync -s C -l crlf -n '__pync_unless zero ports' -d 'send LF as CRLF; CRLF stays CRLF'
complete -c pync -s t -l telnet -n '__pync_unless zero ports' -d 'refuse telnet options; remove telnet commands from the output'
complete -c pync -l lines -n '__pync_unless zero ports' -d 'UDP: a line of input is a datagram; with -l -k: clients\' lines are kept whole'
complete -c pync -l datagram-size -n '__pync_unless zero ports' -x -d 'UDP: cut input into datagrams of at most SIZE bytes'
complete -c pync -s o -l output -n '__pync_unless zero ports' -r -F -d 'write the session\'s bytes, both directions, to FILE'
complete -c pync -l hex-dump -n '__pync_unless zero ports' -r -F -d 'write the session to FILE as hex, with direction, offset and text'
complete -c pync -l append-output -n '__pync_unless zero ports' -d 'append to the files of -o and --hex-dump'
complete -c pync -l stamp -n '__pync_unless zero ports' -d 'begin each line of the output and of the logs with the time and the client'
complete -c pync -l prefix -n '__pync_unless zero ports' -d 'the same with the client only'
complete -c pync -l output-dir -n '__pync_unless zero ports' -x -a '(__pync_directories)' -d 'write what each client sends to a file of its own in DIR, not to stdout'
complete -c pync -l hash -n '__pync_unless zero ports' -x -a 'blake2b blake2s md5 sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512' -d 'print the digest of what went each way at the end, such as sha256'
complete -c pync -s I -l recv-buffer -n '__pync_unless zero ports' -x -d 'receive buffer of the socket'
complete -c pync -s O -l send-buffer -n '__pync_unless zero ports' -x -d 'send buffer of the socket'
complete -c pync -s T -l tos -n '__pync_unless ports' -x -a 'lowdelay throughput reliability lowcost inetcontrol netcontrol critical ef cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43' -d 'type of service: lowdelay, ef, af21, cs3, ... or 0x00 to 0xff'
complete -c pync -s M -l ttl -n '__pync_unless ports' -x -d 'TTL or hop limit of what we send'
complete -c pync -s m -l min-ttl -n '__pync_unless ports' -x -d 'drop packets that arrive with a lower TTL'
complete -c pync -s D -l debug-socket -n '__pync_unless zero ports' -d 'set SO_DEBUG'
complete -c pync -l keepalive -n '__pync_unless zero ports' -d 'let the system check that a silent peer still lives'
complete -c pync -l keepalive-times -n '__pync_unless zero ports' -x -d 'the same, with its times: IDLE[,INTERVAL[,COUNT]]'
complete -c pync -l interface -n '__pync_unless ports' -x -d 'use only the network interface NAME'
complete -c pync -l port-file -n '__pync_unless zero ports' -r -F -d 'write the bound port to FILE before accepting'
complete -c pync -l max-conns -n '__pync_unless zero ports' -x -d 'serve at most N clients at once; one more is closed at once'
complete -c pync -l allow -n '__pync_unless zero ports' -x -d 'serve only clients that match: addresses, networks, ranges, names'
complete -c pync -l deny -n '__pync_unless zero ports' -x -d 'turn away clients that match, even where --allow lets them in'
complete -c pync -l allowfile -n '__pync_unless zero ports' -r -F -d 'as --allow, from a file: rules on each line, # begins a comment'
complete -c pync -l denyfile -n '__pync_unless zero ports' -r -F -d 'as --deny, from a file'
complete -c pync -l proxy-protocol -n '__pync_unless zero ports' -d 'each connection begins with a PROXY header: the address in it is the client\'s'
complete -c pync -l proxy-protocol-from -n '__pync_unless zero ports' -x -d 'with --proxy-protocol: accept connections of these proxies only'
complete -c pync -l backlog -n '__pync_unless zero ports' -x -d 'clients that may queue for being accepted'
complete -c pync -l reuse-port -n '__pync_unless zero ports' -d 'let other listeners of the same user share the port'
complete -c pync -l workers -n '__pync_unless zero ports' -x -d 'serve with N processes that share the port'
complete -c pync -l loop -n '__pync_unless zero ports' -x -a 'quick asyncio uvloop' -d 'event loop of -k and of services: quick, asyncio, or uvloop'
complete -c pync -s e -l exec -n '__pync_unless zero ports' -x -a '(__pync_commands)' -d 'run CMD for the connection, with it as standard input and output'
complete -c pync -s c -l sh-exec -n '__pync_unless zero ports' -x -a '(__pync_commands)' -d 'the same, CMD being a line for /bin/sh'
complete -c pync -l echo -n '__pync_unless zero ports' -d 'send back what arrives (RFC 862)'
complete -c pync -l hello -n '__pync_unless zero ports' -d 'greet: a line NAME is answered with Hello, NAME!'
complete -c pync -l discard -n '__pync_unless zero ports' -d 'throw away what arrives (RFC 863)'
complete -c pync -l chargen -n '__pync_unless zero ports' -d 'send lines of printable characters (RFC 864)'
complete -c pync -l daytime -n '__pync_unless zero ports' -d 'tell date and time as text (RFC 867)'
complete -c pync -l time -n '__pync_unless zero ports' -d 'tell the time as the seconds since 1900, four bytes (RFC 868)'
complete -c pync -l upper -n '__pync_unless zero ports' -d 'send back the text in capitals'
complete -c pync -l http -n '__pync_unless zero ports' -d 'serve the files of the current directory to browsers'
complete -c pync -l http-root -n '__pync_unless zero ports' -x -a '(__pync_directories)' -d 'the same, with the files of DIR'
complete -c pync -l http-upload -n '__pync_unless zero ports' -d 'let clients of --http send files: a form in the listing, or curl -T FILE'
complete -c pync -l overwrite -n '__pync_unless zero ports' -d 'with --http-upload: replace files of the same name'
complete -c pync -l max-upload -n '__pync_unless zero ports' -x -d 'with --http-upload: take files of at most SIZE bytes'
complete -c pync -l auth -n '__pync_unless zero ports' -x -d 'with --http: ask for name and password, USER:PASS'
complete -c pync -l wait -n '__pync_unless ports' -x -d 'keep trying until it answers, or TIME is over'
complete -c pync -l until-closed -n '__pync_unless ports' -d 'with --wait: until nothing answers any more; no data is exchanged'
complete -c pync -l retry -n '__pync_unless zero ports' -x -d 'connect again up to N times, after 1 s, 2 s, 4 s, ... at most 30 s'
complete -c pync -l parallel -n '__pync_unless ports' -x -d 'with -z: ports probed at once, 256 unless said otherwise'
complete -c pync -l banner -n '__pync_unless ports' -d 'with -z: show what a service says, asked or not'
complete -c pync -l watch -n '__pync_unless zero' -x -d 'with --ports: show them again every TIME, at most once a second'
complete -c pync -l all -n '__pync_unless zero' -d 'with --ports: also what holds a port without listening on it'
complete -c pync -l pid -n '__pync_unless zero' -x -d 'with --ports: only what this process owns'
complete -c pync -l name -n '__pync_unless zero' -x -d 'with --ports: only where the program\'s name contains TEXT'
complete -c pync -l progress -n '__pync_unless zero ports' -d 'show how far the transfer is: bytes, rate, time, on stderr'
complete -c pync -l size -n '__pync_unless zero ports' -x -d 'with --progress: how many bytes will be sent; received, where nothing is'
complete -c pync -l json -d 'results as JSON: -z and --ports on stdout, messages and a summary on stderr'
complete -c pync -s v -l verbose -d 'say on stderr what happens'
complete -c pync -l version -d 'show the version and exit'
complete -c pync -s h -l help -x -a 'mode address end-of-data time data socket listen run service http probe see all' -d 'show the most used options, all of a group, or all'
