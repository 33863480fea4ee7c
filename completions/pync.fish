# fish completion for pync
# Made from the table in pync/options.py by `python -m pync.cli.generate`: do not edit.

# Whether the first operand stands at the cursor, and is of the kind $argv[1]: a host or, with unix sockets, a path.
function __pync_first
    set -l wanted $argv[1]
    set -l kind host
    set -l words (commandline -opc)
    set -e words[1]
    argparse l/listen k/keep-open u/udp U/unix unixsock z/zero ports 4/ipv4 6/ipv6 n/nodns s/source=+ p/source-port=+ r/random-ports b/broadcast N/shutdown no-shutdown q/quit-after=+ d/no-stdin send-only recv-only W/recv-limit=+ w/timeout=+ connect-timeout=+ idle-timeout=+ total-timeout=+ i/interval=+ delay=+ rate=+ C/crlf t/telnet lines datagram-size=+ o/output=+ hex-dump=+ append-output stamp prefix output-dir=+ hash=+ I/recv-buffer=+ O/send-buffer=+ T/tos=+ M/ttl=+ m/min-ttl=+ D/debug-socket keepalive keepalive-times=+ interface=+ port-file=+ max-conns=+ allow=+ deny=+ allowfile=+ denyfile=+ backlog=+ reuse-port workers=+ loop=+ e/exec=+ c/sh-exec=+ echo hello discard chargen daytime time upper http http-root=+ wait=+ until-closed retry=+ parallel=+ banner watch=+ all pid=+ name=+ progress size=+ json v/verbose version h/help -- $words 2>/dev/null
    or return
    if set -q _flag_unix; or set -q _flag_unixsock
        set kind path
    end
    test (count $argv) -eq 0 -a $kind = $wanted
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
complete -c pync -n '__pync_first host' -a '(__fish_print_hostnames)'
complete -c pync -n '__pync_first path' -F
complete -c pync -s l -l listen -d 'wait for a connection instead of making one'
complete -c pync -s k -l keep-open -d 'with -l: serve many connections at the same time; else it changes nothing'
complete -c pync -s u -l udp -d 'datagrams instead of a stream'
complete -c pync -s U -l unix -l unixsock -d 'unix-domain socket: the operand is a path, @name an abstract one'
complete -c pync -s z -l zero -d 'probe ports, exchange no data; 0 when a port is open'
complete -c pync -l ports -d 'show this machine\'s bound ports; 1 when none of those asked for is bound'
complete -c pync -s 4 -l ipv4 -d 'IPv4 only'
complete -c pync -s 6 -l ipv6 -d 'IPv6 only'
complete -c pync -s n -l nodns -d 'numeric addresses and ports only, no look-up'
complete -c pync -s s -l source -x -d 'local address; with -l the address to bind, with -U the local path'
complete -c pync -s p -l source-port -x -d 'local port; with -l the port to listen on'
complete -c pync -s r -l random-ports -d 'take the ports of a range in random order'
complete -c pync -s b -l broadcast -d 'allow sending to a broadcast address'
complete -c pync -s N -l shutdown -d 'half-close when our input ends (this is the default)'
complete -c pync -l no-shutdown -d 'never half-close; leave on the peer\'s end of data, or by -q'
complete -c pync -s q -l quit-after -x -d 'leave TIME after our input ended; negative: wait for ever'
complete -c pync -s d -l no-stdin -d 'do not read standard input'
complete -c pync -l send-only -d 'send only: what arrives is thrown away'
complete -c pync -l recv-only -d 'receive only: standard input is not read'
complete -c pync -s W -l recv-limit -x -d 'leave after N received packets (UDP) or reads (TCP)'
complete -c pync -s w -l timeout -x -d 'limit for connecting, for each address, and for silence later'
complete -c pync -l connect-timeout -x -d 'limit for connecting, for each address'
complete -c pync -l idle-timeout -x -d 'end with exit code 3 after TIME without a byte either way'
complete -c pync -l total-timeout -x -d 'end with exit code 3 after TIME in all'
complete -c pync -s i -l interval -x -d 'pause TIME between lines sent, and between ports'
complete -c pync -l delay -x -d 'pause TIME between reads and writes'
complete -c pync -l rate -x -d 'at most SIZE bytes a second, each direction'
complete -c pync -s C -l crlf -d 'send LF as CRLF; CRLF stays CRLF'
complete -c pync -s t -l telnet -d 'refuse telnet options; keep telnet commands out of the output'
complete -c pync -l lines -d 'UDP: a line of input is a datagram; with -l -k: clients\' lines are kept whole'
complete -c pync -l datagram-size -x -d 'UDP: cut input into datagrams of at most SIZE bytes'
complete -c pync -s o -l output -r -F -d 'write the session\'s bytes, both directions, to FILE'
complete -c pync -l hex-dump -r -F -d 'write the session to FILE as hex, with direction, offset and text'
complete -c pync -l append-output -d 'append to the files of -o and --hex-dump'
complete -c pync -l stamp -d 'begin each line of the output and of the logs with the time and the client'
complete -c pync -l prefix -d 'the same with the client only'
complete -c pync -l output-dir -x -a '(__pync_directories)' -d 'write what each client sends to a file of its own in DIR, not to stdout'
complete -c pync -l hash -x -a 'blake2b blake2s md5 sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512' -d 'print the digest of what went each way at the end, such as sha256'
complete -c pync -s I -l recv-buffer -x -d 'receive buffer of the socket'
complete -c pync -s O -l send-buffer -x -d 'send buffer of the socket'
complete -c pync -s T -l tos -x -a 'lowdelay throughput reliability lowcost inetcontrol netcontrol critical ef cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43' -d 'type of service: lowdelay, ef, af21, cs3, ... or 0x00 to 0xff'
complete -c pync -s M -l ttl -x -d 'TTL or hop limit of what we send'
complete -c pync -s m -l min-ttl -x -d 'drop packets that arrive with a lower TTL'
complete -c pync -s D -l debug-socket -d 'set SO_DEBUG'
complete -c pync -l keepalive -d 'let the system check that a silent peer still lives'
complete -c pync -l keepalive-times -x -d 'the same, with its times: IDLE[,INTERVAL[,COUNT]]'
complete -c pync -l interface -x -d 'use only the network interface NAME'
complete -c pync -l port-file -r -F -d 'write the bound port to FILE before accepting'
complete -c pync -l max-conns -x -d 'serve at most N clients at once; one more is closed at once'
complete -c pync -l allow -x -d 'serve only clients that match: addresses, networks, ranges, names'
complete -c pync -l deny -x -d 'turn away clients that match, even where --allow lets them in'
complete -c pync -l allowfile -r -F -d 'as --allow, from a file: rules on each line, # begins a comment'
complete -c pync -l denyfile -r -F -d 'as --deny, from a file'
complete -c pync -l backlog -x -d 'clients that may queue for being accepted'
complete -c pync -l reuse-port -d 'let other listeners of the same user share the port'
complete -c pync -l workers -x -d 'serve with N processes that share the port'
complete -c pync -l loop -x -a 'quick asyncio uvloop' -d 'event loop of -k and of services: quick, asyncio, or uvloop'
complete -c pync -s e -l exec -x -a '(__pync_commands)' -d 'run CMD for the connection, with it as standard input and output'
complete -c pync -s c -l sh-exec -x -a '(__pync_commands)' -d 'the same, CMD being a line for /bin/sh'
complete -c pync -l echo -d 'send back what arrives (RFC 862)'
complete -c pync -l hello -d 'greet: a line NAME is answered with Hello, NAME!'
complete -c pync -l discard -d 'throw away what arrives (RFC 863)'
complete -c pync -l chargen -d 'send lines of printable characters (RFC 864)'
complete -c pync -l daytime -d 'tell date and time as text (RFC 867)'
complete -c pync -l time -d 'tell the time as the seconds since 1900, four bytes (RFC 868)'
complete -c pync -l upper -d 'send back the text in capitals'
complete -c pync -l http -d 'serve the files of the current directory to browsers'
complete -c pync -l http-root -x -a '(__pync_directories)' -d 'the same, with the files of DIR'
complete -c pync -l wait -x -d 'keep trying until it answers, or TIME is over'
complete -c pync -l until-closed -d 'with --wait: until nothing answers any more; no data is exchanged'
complete -c pync -l retry -x -d 'connect again up to N times, after 1 s, 2 s, 4 s, ... at most 30 s'
complete -c pync -l parallel -x -d 'with -z: ports probed at once, 256 unless said otherwise'
complete -c pync -l banner -d 'with -z: show what a service says, asked or not'
complete -c pync -l watch -x -d 'with --ports: show them again every TIME, at most once a second'
complete -c pync -l all -d 'with --ports: also what holds a port without listening on it'
complete -c pync -l pid -x -d 'with --ports: only what this process owns'
complete -c pync -l name -x -d 'with --ports: only where the program\'s name contains TEXT'
complete -c pync -l progress -d 'show how far the transfer is: bytes, rate, time, on stderr'
complete -c pync -l size -x -d 'with --progress: how many bytes will be sent; received, where nothing is'
complete -c pync -l json -d 'results as JSON: -z and --ports on stdout, messages and a summary on stderr'
complete -c pync -s v -l verbose -d 'say on stderr what happens'
complete -c pync -l version -d 'show the version and exit'
complete -c pync -s h -l help -d 'show the most used options, all of a group, or all'
