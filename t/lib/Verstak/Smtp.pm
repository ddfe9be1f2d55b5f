# A real SMTP server for one test (t/lib/smtp_server.py on Debian's python3-aiosmtpd), with faults on demand. It goes with the object.
#
#   my $smtp   = Verstak::Smtp->new(security => 'starttls', user => 'mailer', password => 'secret');
#   my $server = Verstak::Server->new(config => { $smtp->config });
#   my $mail   = $smtp->mail_to('ann@example.org');      waits; a Verstak::Smtp::Message
#   my $rule   = $smtp->rule(at => 'rcpt', do => 'reply', reply => '451 4.3.0 later', to => '^ann@', times => 2);
#   wait_until(10, sub { $smtp->fired($rule) == 2 });  $smtp->remove_rule($rule);
#   $smtp->stop; $smtp->start;                           away for a while, on the same port
#
# Options of new: host (127.0.0.1, or ::1), security (none, starttls, tls), starttls_required (1), certificate (good, wrong: another name, expired, foreign:
# of another CA), user and password (AUTH is offered when given), auth_required, mechanisms ([qw(PLAIN LOGIN)]), start => 0. Rules: see smtp_server.py.
package Verstak::Smtp;
use v5.36;
use parent 'Verstak::Guard';
use Cwd            ();
use File::Basename qw(dirname);
use JSON::PP       ();
use POSIX          ();
use Test::Builder;
use Socket         qw(:DEFAULT SO_REUSEADDR inet_pton pack_sockaddr_in pack_sockaddr_in6 AF_INET6);
use Verstak::Processes qw(kill_all slurp);
use Verstak::Smtp::Certificates;
use Verstak::Smtp::Message;
use Verstak::Wait qw(wait_for wait_until);

my $program = dirname(Cwd::abs_path(__FILE__)) . '/../smtp_server.py';
my $json    = JSON::PP->new->utf8->canonical;

# After the servers that send to it.
sub rank ($self) { return 1 }

sub new ($class, %option) {
    my $start = delete $option{start} // 1;
    my $self  = $class->adopt({ host => '127.0.0.1', security => 'none', rules => [], rule_number => 0, %option }, 'vsm');
    chmod 0711, $self->{base};
    mkdir "$self->{base}/mail" or die "cannot make $self->{base}/mail: $!\n";
    $self->{certificates} = Verstak::Smtp::Certificates->new($self->{base}) if $self->{security} ne 'none';
    $self->hold_port;
    $self->start if $start;
    return $self;
}

sub host ($self) { return $self->{host} }
sub port ($self) { return $self->{port} }

# The file of the CA that signed all but the foreign certificate; readable for all.
sub ca_file ($self) { return $self->{certificates}{ca_file} }

# Keys of config.yml for a server that sends here.
sub config ($self) {
    return (
        'smtp.host'     => $self->{host},
        'smtp.port'     => $self->{port},
        'smtp.security' => $self->{security},
        'smtp.from'     => 'verstak@example.org',
        $self->{user}                 ? ('smtp.user' => $self->{user}, 'smtp.password' => $self->{password}) : (),
        $self->{security} eq 'none' ? () : ('smtp.ca_file' => $self->ca_file),
    );
}

# --- life ----------------------------------------------------------------------------------------------------------

# A port that stays ours while the server is away: bound, but not listening, so that connections are refused.
sub hold_port ($self) {
    my $six = $self->{host} =~ /:/;
    socket $self->{holder}, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0 or die "cannot make a socket: $!\n";
    setsockopt $self->{holder}, SOL_SOCKET, SO_REUSEADDR, 1 or die "cannot set SO_REUSEADDR: $!\n";
    my $address = $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $self->{host})) : pack_sockaddr_in(0, inet_aton($self->{host}));
    bind $self->{holder}, $address or die "cannot bind $self->{host}: $!\n";
    my $name = getsockname $self->{holder};
    ($self->{port}) = $six ? Socket::unpack_sockaddr_in6($name) : unpack_sockaddr_in($name);
    return;
}

sub write_json ($self, $name, $data) {
    my $file = "$self->{base}/$name";
    open my $fh, '>', "$file.new" or die "cannot write $file.new: $!\n";
    print {$fh} $json->encode($data);
    close $fh or die "cannot write $file.new: $!\n";
    rename "$file.new", $file or die "cannot rename $file.new: $!\n";
    return;
}

# Starts the server, with changed options if any are given, and waits until it listens.
sub start ($self, %change) {
    die "the SMTP server runs already\n" if $self->{pid};
    %$self = (%$self, %change);
    my %settings = map { defined $self->{$_} ? ($_ => $self->{$_}) : () }
        qw(host port security starttls_required user password auth_required mechanisms);
    if ($self->{security} ne 'none') {
        $self->{certificates} //= Verstak::Smtp::Certificates->new($self->{base});
        @settings{qw(certificate key)} = $self->{certificates}->files($self->{certificate} // 'good');
    }
    $self->write_json('settings.json', \%settings);
    unlink "$self->{base}/port";
    $self->spawn;
    wait_for(
        "the SMTP server (see $self->{base}/smtp.log)",
        30,
        sub {
            if (waitpid($self->{pid}, POSIX::WNOHANG()) != 0) {
                delete $self->{pid};
                die "the SMTP server left:\n" . slurp("$self->{base}/smtp.log");
            }
            return -e "$self->{base}/port";
        }
    );
    return $self;
}

# It dies with the test, however that ends.
sub spawn ($self) {
    defined($self->{pid} = fork) or die "cannot fork: $!\n";
    return if $self->{pid};
    open STDIN,  '<',  '/dev/null'              or POSIX::_exit(127);
    open STDOUT, '>>', "$self->{base}/smtp.log" or POSIX::_exit(127);
    open STDERR, '>&', \*STDOUT                 or POSIX::_exit(127);
    chdir '/';
    { no warnings 'exec'; exec qw(setpriv --pdeathsig=KILL -- /usr/bin/python3 -B -W ignore::UserWarning), $program, $self->{base}; }
    POSIX::_exit(127);
}

# All connections end at once, as when the machine dies; new ones are refused.
sub stop ($self) {
    kill_all(delete $self->{pid} // return $self);
    return $self;
}

# Connections are taken by the kernel, but nothing is said on them.
sub freeze ($self) { kill STOP => $self->{pid}; return $self }
sub thaw   ($self) { kill CONT => $self->{pid}; return $self }

# What the SMTP server itself did wrong is no result of a test.
sub shutdown ($self) {    ## no critic
    $self->stop;
    my $log = slurp("$self->{base}/smtp.log") // '';
    return if $log eq '';
    $self->{keep} = 1;
    Test::Builder->new->diag("the SMTP server says:\n$log");
    Verstak::Guard::fail_at_end();
    return;
}

# --- faults --------------------------------------------------------------------------------------------------------

# Adds a rule after the others and returns its name.
sub rule ($self, %rule) {
    $rule{id} //= 'rule-' . ++$self->{rule_number};
    push @{ $self->{rules} }, \%rule;
    $self->write_json('rules.json', $self->{rules});
    return $rule{id};
}

# Takes out rules by name; without a name all of them.
sub remove_rule ($self, @names) {
    my %gone = map { $_ => 1 } @names ? @names : map { $_->{id} } @{ $self->{rules} };
    $self->{rules} = [ grep { !$gone{ $_->{id} } } @{ $self->{rules} } ];
    $self->write_json('rules.json', $self->{rules});
    return;
}

# What happened, in order: { connected => number } or { step, connection, to } or { rule, at, connection, to }, each with its time.
sub events ($self) {
    return map { $json->decode($_) } (slurp("$self->{base}/events") // '') =~ /^(.*)\n/mg;
}

# How often a rule was applied.
sub fired ($self, $rule) {
    return scalar grep { ($_->{rule} // '') eq $rule } $self->events;
}

# How often a step was reached; with a pattern only those whose recipients match.
sub steps ($self, $step, $to = undef) {
    return scalar grep { ($_->{step} // '') eq $step && (!defined $to || grep {/$to/} @{ $_->{to} }) } $self->events;
}

sub connections ($self) { return scalar grep { $_->{connected} } $self->events }

# --- mail ----------------------------------------------------------------------------------------------------------

# The number of messages kept.
sub count ($self) {
    opendir my $dir, "$self->{base}/mail" or die "cannot read $self->{base}/mail: $!\n";
    return scalar grep {/\A\d+-\d+-\d+\z/} readdir $dir;
}

# All messages kept, oldest first; with a recipient (a string) or a pattern only those to it.
sub messages ($self, $to = undef) {
    opendir my $dir, "$self->{base}/mail" or die "cannot read $self->{base}/mail: $!\n";
    for my $name (sort grep { /\A\d+-\d+-\d+\z/ && !$self->{message}{$_} } readdir $dir) {
        $self->{message}{$name} = Verstak::Smtp::Message->read("$self->{base}/mail/$name");
    }
    return grep { !defined $to || $_->is_to($to) } map { $self->{message}{$_} } sort keys %{ $self->{message} };
}

# Waits for the message number $number (1) to a recipient and returns it. Options: number, timeout.
sub mail_to ($self, $to, %option) {
    my $number = $option{number} // 1;
    return wait_for("mail $number to $to", $option{timeout} // 30, sub { return ($self->messages($to))[ $number - 1 ] });
}

# Forgets every message so far; they stay on the disk, so that a test that fails can be looked at.
sub forget ($self) {
    my $old = "$self->{base}/mail-" . ++$self->{forgotten};
    rename "$self->{base}/mail", $old or die "cannot rename $self->{base}/mail: $!\n";
    mkdir "$self->{base}/mail" or die "cannot make $self->{base}/mail: $!\n";
    $self->{message} = {};
    return;
}

1;
