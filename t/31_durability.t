# kill -9 of workers, the master, PostgreSQL and everything at once, at random moments under load: afterwards every acknowledged operation and blob is
# there once, in order, and what was not acknowledged and was sent again is stored once. VERSTAK_TEST_ROUNDS (50), VERSTAK_TEST_SEED.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Load;
use Verstak::Postgres;
use Verstak::Processes qw(children_of);
use Verstak::Server;
use Verstak::Wait qw(wait_for);

my $rounds = $ENV{VERSTAK_TEST_ROUNDS} // (($ENV{VERSTAK_SUITE} // '') eq 'sanitizers' ? 12 : 50);
my $seed   = $ENV{VERSTAK_TEST_SEED} // time;
srand $seed;
note "seed $seed, $rounds rounds";

my $server = Verstak::Server->new(
    listen         => '127.0.0.1:' . Verstak::Postgres::free_port(),
    database       => 'private',
    crash_expected => 1,
);
my $load = Verstak::Load->new($server, tokens => [ map { $server->new_device } 1 .. 4 ], blobs => 1);

my %fault = (
    'a worker'   => sub { my @w = $server->pids_of('worker'); kill KILL => $w[ rand @w ] if @w },
    'workers'    => sub { kill KILL => $server->pids_of('worker') },
    'a backend'  => sub { my @b = children_of($server->pids_of('postgres')); kill KILL => $b[ rand @b ] if @b },
    'PostgreSQL' => sub { kill KILL => $server->pids_of('postgres') },
    'the master' => sub { $server->kill9; $server->start(ready => 0) },
    'everything' => sub { $server->kill9(whole => 1); $server->start(ready => 0) },
);
my @faults = sort keys %fault;
my %done;

my @defects;
for my $round (1 .. $rounds) {
    # The first rounds take each fault once, so that none is left out by chance.
    my $fault = $round <= @faults ? $faults[ $round - 1 ] : $faults[ rand @faults ];
    my $goal  = $load->count + 5 + int rand 60;
    wait_for("acknowledgements before round $round", 90, sub { $load->count >= $goal });
    $fault{$fault}->();
    $done{$fault}++;
    $server->wait_ready(timeout => 90);
    push @defects, map { "round $round ($fault): $_" } $load->defects;
    last if @defects;
}
$load->stop;
push @defects, map { "at the end: $_" } $load->defects;
is_deeply \@defects, [], "nothing lost, doubled or reordered in $rounds rounds" or diag "seed $seed";
is join(', ', sort keys %done), join(', ', @faults), 'every kind of fault happened';
cmp_ok $load->count, '>', $rounds * 5, 'there was load: ' . $load->count . ' acknowledgements';

# And once more from cold.
$server->restart;
is_deeply [ $load->defects ], [], 'the same after an orderly restart';

done_testing;
