# The walk of the README, as a user pastes it: every command between "Pairing a first device" and "Configuration" is run
# in one shell, with this test's server in place of ./build, ./server-data and port 47732.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Processes qw(slurp);
use Verstak::Server;

my $server = Verstak::Server->new;
my ($walk) = slurp("$FindBin::Bin/../README") =~ /^(Pairing a first device\n.*?)^Configuration\n/ms
    or die "the README has no walk\n";

# Indented paragraphs are commands. What stands for something else is put in.
my @block = map { s/^ {4}//gmr } $walk =~ /^((?: {4}.*\n)+(?:\n(?: {4}.*\n)+)*)/mg;
@block = grep { !/…/ } @block;
my $smtp = Verstak::Postgres::free_port();
my %fill = (
    '127.0.0.1:2525'                      => "127.0.0.1:$smtp",
    'smtp_port=2525'                      => "smtp_port=$smtp",
    'sudo apt-get install -y python3-aiosmtpd' => 'command -v aiosmtpd',
    'http://127.0.0.1:47732'              => "http://127.0.0.1:$server->{port}",
    './build/bin/verstak-sync-server'     => Verstak::Server::binary(),
    './server-data'                       => $server->{data},
    'username=admin'                      => "username=$Verstak::Server::ADMIN",
);

my $dir = "$server->{base}/walk";
mkdir $dir or die "cannot make $dir: $!\n";
open my $fh, '>', "$dir/admin.pass" or die "cannot write: $!\n";
say $fh $Verstak::Server::ADMIN_PASSWORD;    # a line, as an editor writes it
close $fh;
open $fh, '>', "$dir/walk.sh" or die "cannot write: $!\n";
say $fh "cd '$dir'; trap 'kill \$(jobs -p) 2>/dev/null || true' EXIT";
for my $number (0 .. $#block) {
    my $text = $block[$number];
    $text =~ s/\Q$_\E/$fill{$_}/g for keys %fill;
    say $fh "exec >'$dir/out.$number' 2>&1\n$text";
}
close $fh;
cmp_ok scalar @block, '>=', 10, 'the walk has its commands';
my $status = system 'timeout', 300 * ($ENV{VERSTAK_TEST_SLOWNESS} // 1), 'bash', '-eu', "$dir/walk.sh";
is $status, 0, 'all of them succeed';

# What each block must say; a block that is not here only has to succeed.
my @expected = (
    [ qr/health/,             qr/"status":\s*"ok"/ ],
    [ qr/user add/,           qr/alice/ ],
    [ qr/client\/pair/,       qr/"device_token":\s*"[0-9a-f]{64}"/ ],
    [ qr/"op_id": "laptop-1"/, qr/"accepted":\s*\["laptop-1"\]/ ],
    [ qr/sync\/pull/,         qr/"server_sequence":\s*1,.*"payload_json":\s*"\{\\"text\\": \\"hello\\"\}"/ ],
    [ qr/-F file=/,           qr/"sha256":\s*"[0-9a-f]{64}",\s*"size":\s*1000000/ ],
    [ qr/cmp /,               qr/^same$/m ],
    [ qr/"op_id": "laptop-2"/, qr/"accepted":\s*\["laptop-2"\]/ ],
    [ qr/revoke-current/,     qr/"status":\s*"revoked"/ ],
    [ qr/admin\/login/,       qr/"csrf_token":\s*"[0-9a-f]+"/ ],
    [ qr/api\/users\/create/, qr/"user_id":\s*\d+/ ],
    [ qr/users\/\$bob\/block/, qr/"blocked":\s*1/ ],
    [ qr/api\/stats/,         qr/"operations":\s*2/ ],
    [ qr/smtp\/test/,         qr/"ok":\s*true/ ],
    [ qr/auth\/register/,     qr/"confirmation_sent".*"status":\s*"confirmed"/s ],
    [ qr/user\/devices/,      qr/"token":.*"device_id":.*"name":\s*"desk".*"status":\s*"revoked"/s ],
    [ qr/api\/outbox/,        qr/"template":\s*"confirm","recipient":\s*"carol\@example\.org".*"state":\s*"sent"/ ],
);
for my $expected (@expected) {
    my ($number) = grep { $block[$_] =~ $expected->[0] } 0 .. $#block;
    if (!defined $number) { fail "the walk has $expected->[0]"; next }
    like slurp("$dir/out.$number") // '', $expected->[1], "the answer of $expected->[0]";
}

done_testing;
