# A running verstak-sync-server for one test: its own data directory, port and database, which go with the object.
#
#   my $server = Verstak::Server->new(config => { 'attempts.pair' => 5, 'server.workers' => 2 });
#   my $token  = $server->pair($server->create_user('ann'));
#   my $answer = $server->push($token, Verstak::Server::op(entity_id => 'a.md'));
#
# Options of new: config (flat keys of config.yml), args and env for the command, postgres (a Verstak::Postgres to use
# for database.url; with VERSTAK_TEST_DATABASE=shared each server gets one of its own), database => 'private' | 'shared' to
# insist, crash_expected (else an abort, a sanitizer's report or a crash in the log fails the test), start => 0.
# The binary is $VERSTAK_BIN. As root the server drops to the user $VERSTAK_TEST_USER (postgres).
package Verstak::Server;
use v5.36;
use parent 'Verstak::Guard';
use Carp  qw(croak);
use Cwd   ();
use File::Copy ();
use File::Temp ();
use POSIX ();
use Test::Builder;
use Verstak::HTTP qw(encode_json multipart);
use Verstak::Postgres;
use Verstak::Processes qw(adopt_orphans alive descendants in_session kill_all slurp title);
use Verstak::Wait      qw(wait_for wait_until);

our $ADMIN          = 'root';
our $ADMIN_PASSWORD = 'correct horse battery';
our $PASSWORD       = 'a password of a user';

my %DEFAULT = (
    'server.workers'    => 2,
    'password.cost'     => 4,
    'attempts.pair'     => 1_000_000,
    'attempts.login'    => 1_000_000,
    'attempts.register' => 1_000_000,
    'attempts.reset'    => 1_000_000,
    'attempts.admin'    => 1_000_000,
);

adopt_orphans();

sub binary () {
    my $path = $ENV{VERSTAK_BIN} // (__FILE__ =~ s{[^/]+/[^/]+/[^/]+/[^/]+\z}{}r . 'build/bin/verstak-sync-server');
    -x $path or die "no server at $path; build it, or set VERSTAK_BIN\n";
    return Cwd::abs_path($path);
}

# A copy of it that the server's user reaches, too, though the tree may lie in root's home: an upgrade runs the file as
# that user. The program of all servers that are started from now on.
sub reachable_binary () {
    state $dir = File::Temp->newdir('vsb-XXXXXX', DIR => $ENV{VERSTAK_TEST_TMPDIR} // '/tmp');
    my $program = "$dir/verstak-sync-server";
    File::Copy::copy(binary(), $program) or die "cannot copy the server: $!\n";
    chmod 0755, $dir, $program;
    return $ENV{VERSTAK_BIN} = $program;
}

sub rank ($self) { return 2 }

sub new ($class, %option) {
    binary();    # dies before anything is made when there is none
    my $self = $class->adopt({ %option{qw(args env postgres crash_expected)} }, 'vss');
    chmod 0711, $self->{base};
    $self->{data}   = "$self->{base}/data";
    $self->{log}    = "$self->{base}/server.log";
    $self->{config} = { %DEFAULT, %{ $option{config} // {} } };
    $self->{listen} = $option{listen} // '127.0.0.1:0';
    my $database = $option{database} // $ENV{VERSTAK_TEST_DATABASE} // 'private';
    $self->{postgres}               //= Verstak::Postgres->new if $database eq 'shared';
    $self->{config}{'database.url'} //= $self->{postgres}->url if $self->{postgres};
    my $user = Verstak::Postgres::run_as();
    $self->{config}{'server.user'} //= $user if $user;
    mkdir $self->{data}, 0700 or die "cannot make $self->{data}: $!\n";
    chown +(getpwnam $user)[ 2, 3 ], $self->{data} if $user;
    $self->write_config;
    $self->start if $option{start} // 1;
    return $self;
}

sub base        ($self) { return $self->{base} }
sub data        ($self) { return $self->{data} }
sub pid         ($self) { return $self->{pid} }
sub port        ($self) { return $self->{port} }
sub postgres    ($self) { return $self->{postgres} }
sub log_file    ($self) { return $self->{log} }
sub config_file ($self) { return "$self->{data}/config.yml" }

# --- configuration -------------------------------------------------------------------------------------------------

sub yaml_value ($value) {
    return '[' . join(', ', map { encode_json("$_") } @$value) . ']' if ref $value;
    return $value                                                    if $value =~ /\A[A-Za-z0-9_]+\z/;
    utf8::encode(my $text = $value);
    return '"' . $text =~ s/(["\\])/\\$1/gr . '"';
}

# The text of config.yml from flat keys, with the test's admin. Lists are array references.
sub config_text ($self) {
    my %section;
    for my $name (sort keys %{ $self->{config} }) {
        my ($section, $key) = split /\./, $name, 2;
        my $value = $self->{config}{$name} // next;
        $section{$section} .= "  $key: " . yaml_value($value) . "\n";
    }
    my $text = join '', map { "$_:\n$section{$_}" } sort keys %section;
    my $hash = crypt $ADMIN_PASSWORD, '$2b$04$' . 'abcdefghijklmnopqrstuu';
    return $text . qq(admin:\n  - username: "$ADMIN"\n    password_hash: "$hash"\n);
}

# Writes config.yml, with changes (flat keys; undef takes one out) or as the text given.
sub write_config ($self, %change) {
    $self->{config} = { %{ $self->{config} }, %change };
    return $self->write_config_text($self->config_text);
}

sub write_config_text ($self, $text) {
    my $file = $self->config_file;
    open my $fh, '>', "$file.new" or die "cannot write $file.new: $!\n";
    print {$fh} $text;
    CORE::close $fh or die "cannot write $file.new: $!\n";
    chmod 0640, "$file.new";
    my $user = Verstak::Postgres::run_as();
    chown +(getpwnam $user)[ 2, 3 ], "$file.new" if $user;
    rename "$file.new", $file or die "cannot rename $file.new: $!\n";
    return $self;
}

# --- life ----------------------------------------------------------------------------------------------------------

# The arguments of the command line, without the program's name.
sub arguments ($self) {
    return ('--data', $self->{data}, '--listen', $self->{listen}, @{ $self->{args} // [] });
}

# Runs the program in a session of its own with its output in the log; returns at once.
sub spawn ($self, @arguments) {
    my $binary = binary();
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        POSIX::setsid();
        delete @ENV{ grep { /\AVERSTAK_(?!TEST)/ } keys %ENV };
        %ENV = (%ENV, %{ $self->{env} // {} });
        open STDIN,  '<',  '/dev/null'  or POSIX::_exit(127);
        open STDOUT, '>>', $self->{log} or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT     or POSIX::_exit(127);
        chdir $self->{base};
        { no warnings 'exec'; exec {$binary} $binary, @arguments; }
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $self->{sessions}{$pid} = 1;
    $self->watch($pid);
    return $pid;
}

# A process that ends the server's session when the test is killed so hard that its own END does not run.
sub watch ($self, $session) {
    pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if ($pid) {
        $self->{watch}{$session} = [ $pid, $writer ];
        return;
    }
    opendir my $dir, '/proc/self/fd' or POSIX::_exit(1);
    my @fd = grep { /\A\d+\z/ && $_ != fileno $reader } readdir $dir;
    POSIX::close($_) for @fd;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
    kill KILL => map { ($_, descendants($_)) } in_session($session) if !sysread $reader, my $byte, 1;
    POSIX::_exit(0);
}

sub unwatch ($self, $session) {
    my ($pid, $writer) = @{ delete $self->{watch}{$session} // return };
    syswrite $writer, 'x';
    CORE::close $writer;
    waitpid $pid, 0;
    return;
}

# Starts the server and waits until it is ready. Options: ready => 0 (do not wait), timeout.
sub start ($self, %option) {
    die "the server runs already\n" if $self->running;
    delete @$self{qw(port admin)};
    $self->{log_start} = -s $self->{log} // 0;
    $self->spawn($self->arguments);
    $self->wait_ready(%option) if $option{ready} // 1;
    return $self;
}

# The port that the master says it listens on; undef while it has not said so.
sub find_port ($self) {
    return $self->{port} //= $self->log_text =~ /listening on \S*:(\d+)/ ? $1 : undef;
}

sub ready ($self) {
    my $port = $self->find_port // return 0;
    local $@;
    my $response = eval { Verstak::HTTP->new('127.0.0.1', $port, timeout => 5)->request(GET => '/readyz') };
    return $response && $response->status == 200;
}

sub wait_ready ($self, %option) {
    wait_until(
        $option{timeout} // 60,
        sub {
            $self->running or die "the server left at its start:\n" . $self->log_text;
            $self->ready;
        }
    ) or die "the server does not get ready:\n" . $self->log_text;
    return $self;
}

# True while the master runs; its exit status is in {status} after that.
sub running ($self) {
    my $pid = $self->{pid} // return 0;
    return 1 if waitpid($pid, POSIX::WNOHANG()) == 0;
    $self->{status} = $?;
    $self->unwatch(delete $self->{pid});
    return 0;
}

# Sends a signal to the master.
sub signal ($self, $name) {
    return kill $name, $self->{pid};
}

# All processes of this server now, the master first, a private PostgreSQL's included.
sub pids ($self) {
    my @leader = sort { $a <=> $b } map { in_session($_) } keys %{ $self->{sessions} };
    my %seen;
    return grep { !$seen{$_}++ } map { ($_, descendants($_)) } @leader;
}

# The pids of a kind by process title: 'worker' finds "verstak-sync-server: worker 1" and so on; 'postgres' the
# postmaster of the private database.
sub pids_of ($self, $kind) {
    if ($kind eq 'postgres') {
        my $line = slurp("$self->{data}/postgres/postmaster.pid") // '';
        return $line =~ /\A(\d+)$/m && alive($1) ? $1 : ();
    }
    return sort { $a <=> $b } grep { title($_) =~ /\Averstak-sync-server: \Q$kind\E\b/ } $self->pids;
}

# Ends the server gracefully and returns the exit status; dies when it does not leave.
sub stop ($self, %option) {
    return if !$self->running;
    my @pids = $self->pids;
    $self->signal($option{signal} // 'TERM');
    wait_for('the server to stop', $option{timeout} // 40, sub { !$self->running });
    wait_for(
        'the children to leave',
        20,
        sub {
            !grep { alive($_) } @pids;
        }
    );
    return $self->{status};
}

sub restart ($self, %option) {
    $self->stop;
    return $self->start(%option);
}

# SIGHUP with what is in config.yml now, and waits until the former processes are gone: one that was only told to leave may
# still take a connection, or a mail. Returns the log's mark from before.
sub reload ($self) {
    my $mark   = $self->log_mark;
    my @former = map { $self->pids_of($_) } qw(worker mailer janitor);
    $self->signal('HUP');
    $self->log_like(qr/generation \d+ is ready/, since => $mark, timeout => 40);
    wait_for('the former processes to leave', 40, sub { !grep { alive($_) } @former });
    return $mark;
}

# kill -9 of the master alone; whole => 1 kills everything at once, as a machine's crash does.
sub kill9 ($self, %option) {
    my @pids = $option{whole} ? $self->pids : ();
    kill STOP => @pids if @pids;
    kill_all($self->{pid} // (), @pids);
    $self->running;
    return $self;
}

sub shutdown ($self) {    ## no critic
    if ($self->running) {
        $self->signal('TERM');
        wait_until(15, sub { !$self->running });
    }
    wait_until(5, sub { !$self->pids });
    kill_all($self->pids);
    $self->running;
    $self->unwatch($_) for keys %{ $self->{watch} };
    $self->check_log if !$self->{crash_expected};
    delete $self->{postgres};
    return;
}

# A crash that no test noticed is a failure all the same.
sub check_log ($self) {
    my @bad = grep { /Assertion .* failed|Sanitizer|runtime error:|signal (?:6|11)\b|SIGABRT|SIGSEGV|aborted|panic/ }
        split /\n/, slurp($self->{log}) // '';
    return if !@bad;
    $self->{keep} = 1;
    Test::Builder->new->diag("the server's log shows a crash:\n" . join "\n", @bad[ 0 .. ($#bad > 20 ? 20 : $#bad) ]);
    Verstak::Guard::fail_at_end();
    return;
}

# --- log -----------------------------------------------------------------------------------------------------------

# The log since the last start.
sub log_text ($self) {
    return substr slurp($self->{log}) // '', $self->{log_start} // 0;
}

sub log_mark ($self) { return -s $self->{log} // 0 }

# Waits until the log holds a line like $pattern (after the mark, when one is given) and returns the match.
sub log_like ($self, $pattern, %option) {
    my $from = $option{since} // $self->{log_start} // 0;
    return wait_for(
        "a log line like $pattern",
        $option{timeout} // 15,
        sub { substr(slurp($self->{log}) // '', $from) =~ /^(.*$pattern.*)$/m ? $1 : undef }
    );
}

# --- requests ------------------------------------------------------------------------------------------------------

# A connection of its own. Options of Verstak::HTTP.
sub connect ($self, %option) {    ## no critic
    return Verstak::HTTP->new('127.0.0.1', $self->{port} // croak('not started'), %option);
}

# One request on a connection of its own; options of Verstak::HTTP->request and ->new.
sub request ($self, $method, $path, %option) {
    my $connection = $self->connect(%option{ grep { exists $option{$_} } qw(local timeout) });
    return $connection->request($method, $path, %option) // croak "$method $path: connection closed without an answer";
}

# The body as data of an answer that must be 200.
sub expect_ok ($self, $response, $what) {
    $response->status == 200 or croak "$what: " . $response->describe;
    return $response->json;
}

# Options (cookie, csrf) of an admin's requests; logs in once.
sub admin_login ($self) {
    return %{
        $self->{admin} //= do {
            my $response = $self->request(
                POST => '/admin/login',
                form => { username => $ADMIN, password => $ADMIN_PASSWORD }
            );
            my $data = $self->expect_ok($response, 'admin login');
            { cookie => 'admin_session=' . $response->cookie('admin_session'), csrf => $data->{csrf_token} };
        }
    };
}

# A request as admin, with session and CSRF token.
sub admin ($self, $method, $path, %option) {
    return $self->request($method, $path, $self->admin_login, %option);
}

# Creates a confirmed user and returns (name, password); the id is in $server->{user_id}{name}.
sub create_user ($self, $name = next_name('user'), $password = $PASSWORD) {
    my $response = $self->admin(
        POST => '/admin/api/users/create',
        json => { username => $name, email => "$name\@example.org", password => $password }
    );
    $self->{user_id}{$name} = $self->expect_ok($response, "create user $name")->{user_id};
    return ($name, $password);
}

# Pairs a device and returns its token; pair_device gives the whole answer.
# Options: device_name, client_version, vault_id.
sub pair_device ($self, $name, $password, %option) {
    my $response = $self->request(
        POST => '/api/client/pair',
        json => { login => $name, password => $password, %option }
    );
    return $self->expect_ok($response, "pair $name");
}

sub pair ($self, $name, $password, %option) {
    return $self->pair_device($name, $password, %option)->{device_token};
}

# A new user with one device: its token.
sub new_device ($self, %option) {
    return $self->pair($self->create_user, %option);
}

# An operation with all fields; each call has another op_id.
sub op (%field) {
    return {
        op_id                => next_name('op'),
        entity_type          => 'note',
        entity_id            => 'Notes/a.md',
        op_type              => 'update',
        payload_json         => '',
        client_sequence      => 0,
        created_at           => '2026-11-22T10:15:00Z',
        last_seen_server_seq => 0,
        %field
    };
}

# Pushes operations; the answer's data. push_response gives the response, whatever it is.
sub push_response ($self, $token, $operations, %field) {
    return $self->request(POST => '/api/v1/sync/push', token => $token, json => { ops => $operations, %field });
}

sub push ($self, $token, @operations) {    ## no critic
    return $self->expect_ok($self->push_response($token, \@operations), 'push');
}

sub pull ($self, $token, $since = 0, %field) {
    my $response = $self->request(
        POST  => '/api/v1/sync/pull',
        token => $token,
        json  => { since_sequence => $since, %field }
    );
    return $self->expect_ok($response, 'pull');
}

# Every operation after $since, page by page.
sub pull_all ($self, $token, $since = 0, %field) {
    my @operations;
    while (1) {
        my $page = $self->pull($token, $since, %field);
        CORE::push @operations, @{ $page->{ops} };
        return @operations if !$page->{has_more};
        $page->{page_last_sequence} > $since or croak "a page after $since with more to come, but no step on";
        $since = $page->{page_last_sequence};
    }
}

# Uploads bytes as a blob; the answer's data ({sha256, size}).
sub upload_response ($self, $token, $bytes, %option) {
    my ($type, $body) = multipart({
        name     => 'file',
        filename => 'a.bin',
        type     => 'application/octet-stream',
        content  => $bytes
    });
    return $self->request(POST => '/api/v1/blobs/', token => $token, type => $type, body => $body, %option);
}

sub upload ($self, $token, $bytes) {
    return $self->expect_ok($self->upload_response($token, $bytes), 'upload');
}

# --- database ------------------------------------------------------------------------------------------------------

# A DBI handle on the server's database, as the server's role in the private one and as superuser in a shared one.
sub dbh ($self) {
    return $self->{postgres}->dbh if $self->{postgres};
    my ($socket) = glob "$self->{data}/run/.s.PGSQL.*[0-9]" or croak 'the private PostgreSQL has no socket';
    my ($port)   = $socket =~ /(\d+)\z/;
    return DBI->connect("dbi:Pg:dbname=verstak;host=$self->{data}/run;port=$port",
        'verstak', '', { RaiseError => 1, PrintError => 0, AutoInactiveDestroy => 1 });
}

# A name that no other call in this test gives.
sub next_name ($prefix) {
    state $number = 0;
    return sprintf '%s-%d', $prefix, ++$number;
}

1;
