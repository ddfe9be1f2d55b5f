# The configuration as its operator meets it: --check-config's errors, the example file and the manual pages against the
# options that the binary has, and that secrets of command line and environment cannot be read from outside.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use POSIX      ();
use Test::More;
use Verstak::Postgres;
use Verstak::Processes qw(alive slurp);
use Verstak::Server;
use Verstak::Wait qw(wait_for);

my $top    = "$FindBin::Bin/..";
my $binary = Verstak::Server::binary();
my $dir    = File::Temp->newdir('vss-XXXXXX', TMPDIR => 1);
my $file   = "$dir/config.yml";
my $hash   = '$2b$04$abcdefghijklmnopqrstuukgAkTNo0pgwTpCpHjZzyaVMqOEmRJPe';

# Runs the binary without anything of ours in its environment; (exit status, standard output, standard error).
sub run ($environment, @arguments) {
    delete local @ENV{ grep { /\AVERSTAK_/ } keys %ENV };
    local @ENV{ keys %$environment } = values %$environment;
    open my $out, '+>', undef or die "cannot make a temporary file: $!\n";
    open my $err, '+>', undef or die "cannot make a temporary file: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null' or POSIX::_exit(127);
        open STDOUT, '>&', $out        or POSIX::_exit(127);
        open STDERR, '>&', $err        or POSIX::_exit(127);
        exec { $binary } $binary, @arguments or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $status = $? & 127 ? "signal $?" : $? >> 8;
    seek $_, 0, 0 for $out, $err;
    local $/;
    return ($status, scalar <$out>, scalar <$err>);
}

sub write_file ($text) {
    open my $fh, '>:raw', $file or die "cannot write $file: $!\n";
    print {$fh} $text;
    close $fh or die "cannot write $file: $!\n";
    return;
}

# --- --check-config ------------------------------------------------------------------------------------------------

my @right = (
    ['no file at all',           undef],
    ['an empty file',            ''],
    ['a section without a key',  "server:\nlog:\n"],
    ['values of every kind',     <<"END"],
# a comment
server:
  listen: "[::1]:0"
  workers: 2
  public_url: https://sync.example.org
  trusted_proxies:
    - 127.0.0.1
    - 10.0.0.0/8
  shutdown_timeout: 1500ms
log: {file: syslog, level: debug, requests: false}
limits:
  blob_size: 1GiB
database:
  url: postgresql://a,b/verstak?target_session_attrs=read-write
admin:
  - username: root
    password_hash: $hash
END
);

for my $case (@right) {
    my ($name, $text) = @$case;
    defined $text ? write_file($text) : unlink $file;
    my ($status, $out, $err) = run({}, '--check-config', '--data', "$dir");
    is_deeply [$status, $err], [0, ''], "$name: status 0, nothing on standard error";
    is $out, "$file: the configuration is valid\n", '… and a word on standard output';
}

# Text of the file and what is said of it, behind the file's name.
my @wrong = (
    ["servr:\n  workers: 2\n",                          ':1: servr: unknown section'],
    ["workers: 2\n",                                    ':1: workers: unknown section'],
    ["server:\n  # two\n  worker: 2\n",                 ':3: server.worker: unknown key'],
    ["server: 2\n",                                     ':1: server: is a section'],
    ["- server\n",                                      ":1: expected sections, like 'server:'"],
    ["server:\n  workers: 2\n  workers: 2\n",           ':3: server.workers: stands in line 2 already'],
    ["log:\nserver:\nlog:\n",                           ':3: log: stands in line 1 already'],
    ["server:\n  workers:\n",                           ':2: server.workers: has no value'],
    ["server:\n  workers: [2]\n",                       ':2: server.workers: needs a single value, not a list'],
    ["server:\n  workers: {a: b}\n",                    ':2: server.workers: needs a single value, not a mapping'],
    ["server:\n  workers: two\n",                       ":2: server.workers: 'two' is not a whole number"],
    ["server:\n  workers: 300\n",                       ":2: server.workers: '300' is out of range (0 to 256)"],
    ["server:\n  listen: 47732\n",                      ":2: server.listen: '47732' is not ADDRESS:PORT"],
    ["server:\n  trusted_proxies: 10.0.0.1\n",          ':2: server.trusted_proxies: needs a list'],
    ["server:\n  trusted_proxies: [10.0.0.1, proxy]\n", ":2: server.trusted_proxies: 'proxy' is neither"],
    ["server:\n  public_url: sync.example.org\n",       ":2: server.public_url: 'sync.example.org' is not a URL"],
    ["server:\n  pid_file: pid\n",                      ":2: server.pid_file: 'pid' is not an absolute path"],
    ["log:\n  level: loud\n",                           ":2: log.level: 'loud' is not one of debug, info, warning or error"],
    ["log:\n  requests: yes\n",                         ":2: log.requests: 'yes' is neither true nor false"],
    ["http:\n  idle_timeout: 75\n",                     ":2: http.idle_timeout: '75' is not a duration"],
    ["http:\n  idle_timeout: 2h\n",                     ":2: http.idle_timeout: '2h' is out of range (1s to 1h)"],
    ["limits:\n  push_body: 2MB\n",                     ":2: limits.push_body: '2MB' is not a size"],
    ["limits:\n  push_body: 1TiB\n",                    ":2: limits.push_body: '1TiB' is out of range (1KiB to 256MiB)"],
    ["server: &a\n  workers: 2\nlog: *a\n",             ':1: anchors and aliases are not allowed'],
    ["server:\n  workers: !!int 2\n",                   ':2: tags are not allowed'],
    ["server:\n---\nlog:\n",                            ':2: only one document is allowed'],
    ["server:\n\tworkers: 2\n",                         ':2: '],
    ["server:\n  user: 'a\n",                           ':3: '],
    ["log:\n  level: debug # \xe4\n",                   ':2: the file is not UTF-8'],
    ["log:\n  level: debug\0\n",                        ':2: control characters are not allowed'],
    ["admin: root\n",                                   ':1: admin: needs a list'],
    ["admin:\n  - username: root\n",                    ':2: admin: the entry has no password_hash'],
    ["admin:\n  - username: root\n    password: x\n",   ':3: admin: an entry has the keys username and password_hash'],
    ["admin:\n  - username: root\n    password_hash: geheim\n", ":2: admin: password_hash of 'root' is not a bcrypt hash"],
    ["admin:\n" . "  - username: root\n    password_hash: $hash\n" x 2, ":4: admin: 'root' has an entry already"],
);

for my $case (@wrong) {
    my ($text, $reason) = @$case;
    write_file($text);
    my ($status, $out, $err) = run({}, '--check-config', '--data', "$dir");
    my $name = $text =~ s/\n/ | /gr =~ s/[^ -~]/?/gr;
    is $status, 2, "refused: $name";
    like $err, qr/\A\Qverstak-sync-server: $file$reason\E[^\n]*\n\z/, '… in one line with file, line, key and reason';
    is $out, '', '… on standard error alone';
}
unlink $file;

# Environment, arguments and what is said of them.
my @origins = (
    [{ VERSTAK_PORT => '70000' }, [], "VERSTAK_PORT: '70000' is not a port (0 to 65535)"],
    [{ VERSTAK_LISTEN => 'here' }, [], "VERSTAK_LISTEN: 'here' is not ADDRESS:PORT"],
    [{ VERSTAK_TRUSTED_PROXIES => '::1,x' }, [], "VERSTAK_TRUSTED_PROXIES: 'x' is neither"],
    [{ VERSTAK_PUBLIC_URL => 'x' }, [], "VERSTAK_PUBLIC_URL: 'x' is not a URL"],
    [{}, ['--port', 'x'], "--port: 'x' is not a port"],
    [{}, ['--workers=-1'], "--workers: '-1' is out of range (0 to 256)"],
    [{}, ['--http.idle_timeout=1'], "--http.idle_timeout: '1' is not a duration"],
    [{}, ['--http.idle=1s'], '--http.idle: unknown flag; see --help'],
    [{}, ['--prot', '1'], '--prot: unknown flag; see --help'],
    [{}, ['--port'], '--port: needs a value'],
    [{}, ['serve'], "unexpected argument 'serve'; see --help"],
    [{}, ['--config', "$dir/other.yml"], "cannot read '$dir/other.yml': No such file or directory"],
    [{}, ['--config', "$dir"], "cannot read '$dir': Is a directory"],
    [{}, ['--admin-pass-stdin'], '--admin-pass, --admin-pass-file and --admin-pass-stdin need --admin-user'],
);

for my $case (@origins) {
    my ($environment, $arguments, $reason) = @$case;
    my ($status, $out, $err) = run($environment, '--check-config', '--data', "$dir", @$arguments);
    is $status, 2, 'refused: ' . join ' ', %$environment, @$arguments;
    like $err, qr/\A\Qverstak-sync-server: $reason\E[^\n]*\n\z/, '… with its name';
}

{
    my %environment = (VERSTAK_PORT => '', VERSTAK_LISTEN => '', VERSTAK_DATABASE_URL => '', VERSTAK_PUBLIC_URL => '');
    my ($status) = run(\%environment, '--check-config', '--data', "$dir");
    is $status, 0, 'an empty variable is none';
    my $secret = 'host=db password=geheim' . "\n";
    my ($refused, undef, $err) = run({ VERSTAK_DATABASE_URL => $secret }, '--check-config', '--data', "$dir");
    is $refused, 2, 'a connection string with a line feed is refused';
    unlike $err, qr/geheim/, '… without being quoted';
}

# --- the tables ----------------------------------------------------------------------------------------------------

# What the source declares: name => [default, text].
my (%option, @names);
for my $line (split /\n/, slurp("$top/src/core/options.def")) {
    my ($section, $key, $default, $text) = $line =~ /\AOPTION\((\w+), (\w+), \w+, "(.*?)", .*"(.*)"\)\z/ or next;
    push @names, "$section.$key";
    $option{"$section.$key"} = [$default, $text];
}
cmp_ok scalar @names, '>', 40, 'options.def is read';

my (undef, $help) = run({}, '--help');
my ($flags, $options, $variables) = $help =~ /^Flags .*?\n(.*?)\n^Options .*?\n(.*?)\n^Environment .*?\n(.*?)\n^Signals/ms
    or BAIL_OUT('--help has other parts');

# name => [text, default, values]
my (%help, @help_names);
for my $line (split /\n/, $options =~ s/\n {30}/ /gr) {
    my ($name, $text, $default, $values) = $line =~ /\A  (\S+) +(.*) \(default (.*?)(?:; (.*))?\)\z/
        or fail("a line of --help: $line"), next;
    push @help_names, $name;
    $help{$name} = [$text, $default, $values];
}
is_deeply \@help_names, \@names, '--help has every option';
is_deeply [map { [$_, @{ $help{$_} // [] }[1, 0]] } @names],
    [map { [$_, length $option{$_}[0] ? $option{$_}[0] : 'empty', $option{$_}[1]] } @names], '… with default and sentence';

# --- the example ---------------------------------------------------------------------------------------------------

my (undef, $example) = run({}, '--example-config');
is slurp("$top/etc/config.yml"), $example, 'etc/config.yml is what --example-config prints';
my (@example_names, $section);
for my $line (split /\n/, $example) {
    $section = $1 if $line =~ /\A(\w+):\z/;
    push @example_names, "$section.$1" if $line =~ /\A  #(\w+): \S/;
}
is_deeply \@example_names, \@names, 'the example has every option';
write_file($example);
my ($status, undef, $err) = run({}, '--check-config', '--data', "$dir");
is_deeply [$status, $err], [0, ''], 'the example is valid';
write_file($example =~ s/^  #(?=\w+: )/  /gmr);
($status, undef, $err) = run({}, '--check-config', '--data', "$dir");
is_deeply [$status, $err], [0, ''], '… with every option switched on, too';
unlink $file;

# --- the manual pages ----------------------------------------------------------------------------------------------

my $page = slurp("$top/doc/verstak-sync-server.yml.5");
my @page_names;
while ($page =~ /^\.It Cm (\w+\.\w+)\n(.*?)(?=^\.(?:It|El)\b)/gms) {
    my ($name, $block) = ($1, $2);
    $block =~ s/\s+/ /g;
    push @page_names, $name;
    my ($text, $default, $values) = @{ $help{$name} // next };
    ok index($block, "$text ") == 0, "verstak-sync-server.yml(5): $name has its sentence" or diag $block;
    my $facts = "Default: $default" . (defined $values ? "; $values" : '') . '. ';
    is substr($block, -length $facts), $facts, '… and ends with default and range';
}
is_deeply \@page_names, \@names, '… and no option is missing';

my $command = slurp("$top/doc/verstak-sync-server.8");
for my $flag ($flags =~ /^  --([a-z-]+)/gm) {
    like $command, qr/^\.It Fl Fl \Q$flag\E\b/m, "verstak-sync-server(8): --$flag";
}
for my $variable ($variables =~ /^  (VERSTAK_\w+)/gm) {
    like $command, qr/^\.It Ev \Q$variable\E$/m, "verstak-sync-server(8): $variable";
}

# --- secrets -------------------------------------------------------------------------------------------------------

# What anybody, and what root, can read of a process: /proc/PID/cmdline and environ.
sub visible ($server) {
    return join '', map { slurp("/proc/$_/cmdline") // '', slurp("/proc/$_/environ") // '' } $server->pids;
}

my $postgres = Verstak::Postgres->new;
for my $case (
    ['flags', ['--database.url', $postgres->url . '&application_name=geheim'], {}],
    ['the environment', [], { VERSTAK_DATABASE_URL => $postgres->url . '&application_name=geheim' }],
    )
{
    my ($name, $arguments, $environment) = @$case;
    my $server = Verstak::Server->new(
        database => 'private',
        start    => 0,
        env      => $environment,
        args     => [@$arguments, '--admin-user', 'eve', '--admin-pass', 'geheim und lang'],
    );
    $server->start;
    my $sessions = sub {
        $postgres->dbh->selectrow_array(q{select count(*) from pg_stat_activity where application_name = 'geheim'});
    };
    cmp_ok $sessions->(), '>', 0, "$name: the connection string is used";
    like visible($server), qr/verstak-sync-server: master.*verstak-sync-server: worker/s, '… its processes are looked at';
    unlike visible($server), qr/geheim/, '… and cannot be read from any process, nor can the password';
    my $entries = () = slurp($server->config_file) =~ /username: "eve"/g;
    is $entries, 1, '… the admin is written';
    my $mode = (stat $server->config_file)[2] & 07777;
    is sprintf('%04o', $mode), '0640', '… into a file that others do not read';
    is $server->request(POST => '/admin/login', form => { username => 'eve', password => 'geheim und lang' })->status,
        200, '… and can log in';
    my $mark = $server->log_mark;
    my @old = $server->pids_of('worker');
    $server->signal('HUP');
    $server->log_like('generation \d+ is ready', since => $mark, timeout => 30);
    wait_for('the old workers to leave', 30, sub { !grep { alive($_) } @old });
    cmp_ok $sessions->(), '>', 0, '… also by workers that read the configuration again';
    unlike slurp($server->log_file), qr/geheim/, '… and nothing of it is in the log';
    $server->stop;
}

done_testing;
