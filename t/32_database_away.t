# The database goes away under load and comes back: 503 with Retry-After meanwhile, then all well; nobody restarts anything, nothing acknowledged is lost.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Load;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $pg     = Verstak::Postgres->new;
my $server = Verstak::Server->new(postgres => $pg, config => { 'database.statement_timeout' => '5s', 'http.request_timeout' => '8s' });
my $token  = $server->new_device;
my $load   = Verstak::Load->new($server, tokens => [ map { $server->new_device } 1 .. 3 ]);

sub pids () { return join ' ', map { sort { $a <=> $b } $server->pids_of($_) } qw(master worker janitor mailer) }

sub go_on ($number) {
    my $goal = $load->count + 20;
    ok wait_until(60, sub { $load->count >= $goal }), "writers go on $number";
    return;
}

my $before = pids();
go_on('at first');

for my $way (qw(immediate fast freeze)) {
    subtest "the database goes away: $way" => sub {
        $way eq 'freeze' ? $pg->freeze : $pg->stop($way);
        my $response = wait_for('a 503', 30, sub {
            my $r = $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 });
            return $r->status == 503 && $r;
        });
        is $response->code, 'unavailable', 'code unavailable';
        like $response->header('retry-after') // '', qr/\A[1-9]\d*\z/, 'Retry-After in seconds';
        my $health = wait_for('health to see it', 20, sub {
            my $r = $server->request(GET => '/api/v1/health');
            return $r->status == 503 && $r;
        });
        is $health->json->{status},             'degraded', 'health is degraded';
        is !!$health->json->{database_reachable}, !!0,      'health says that the database is not reachable';
        is $server->request(GET => '/livez')->status, 200, 'livez answers all the same';
        $way eq 'freeze' ? $pg->thaw : $pg->start;
        ok wait_until(60, sub { $server->request(GET => '/readyz')->status == 200 }), 'ready again by itself';
        go_on("after '$way'");
    };
}

is pids(), $before, 'no process was replaced';
ok $server->log_like(qr/database/), 'the log says so';
$load->stop;
is_deeply [ $load->defects ], [], 'nothing acknowledged is lost, doubled or reordered';

done_testing;
