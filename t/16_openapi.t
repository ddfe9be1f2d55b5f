# doc/openapi.yaml against the binary: the same paths and methods, the same callers, the same error codes, and answers of
# the running server that are as their schemas say.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::People;
use Verstak::Server;
use YAML::XS ();

my $top    = "$FindBin::Bin/..";
my $binary = Verstak::Server::binary();
my $api    = YAML::XS::LoadFile("$top/doc/openapi.yaml");
my @method = qw(get put post delete options head patch trace);

# {"GET /path/{}" => operation} of the document.
my %documented;
for my $path (sort keys %{ $api->{paths} }) {
    for my $method (grep { $api->{paths}{$path}{$_} } @method) {
        $documented{ uc($method) . ' ' . $path =~ s/\{[^{}]+\}/{}/gr } = $api->{paths}{$path}{$method};
    }
}

my %route = map { my ($method, $path, @rest) = split ' '; ("$method $path" => \@rest) } split /\n/, qx{$binary --routes};
is $?, 0, '--routes';

subtest 'paths and methods' => sub {
    is_deeply [ grep { !$documented{$_} } sort keys %route ], [], 'every route is documented';
    is_deeply [ grep { !$route{$_} } sort keys %documented ], [], 'nothing is documented that is none';
};

subtest 'who may call' => sub {
    for my $name (sort keys %documented) {
        my ($who) = @{ $route{$name} // next };
        my %scheme = map { %$_ } @{ $documented{$name}{security} // [ { missing => [] } ] };
        my $get    = $name =~ /\AGET /;
        my %want   = (
            anyone => [],
            device => ['deviceToken'],
            user   => [ $get ? () : 'csrfToken', 'userSession', 'userToken' ],
            admin  => [ 'adminSession', $get ? () : 'csrfToken' ],
        );
        is_deeply [ sort keys %scheme ], $want{$who}, "$name: $who";
    }
};

# Follows "#/components/…".
sub resolve ($node) {
    while (ref $node eq 'HASH' && $node->{'$ref'}) {
        my ($path) = $node->{'$ref'} =~ m{\A#/(.+)\z} or return;
        $node = $api;
        $node = ref $node eq 'HASH' ? $node->{$_} : undef for split m{/}, $path;
    }
    return $node;
}

subtest 'references' => sub {
    my %seen;
    my $walk;
    $walk = sub ($node) {
        if (ref $node eq 'ARRAY') { $walk->($_) for @$node; return }
        return if ref $node ne 'HASH';
        $seen{ $node->{'$ref'} } = resolve($node) ? 1 : 0 if exists $node->{'$ref'};
        $walk->($_) for values %$node;
    };
    $walk->($api);
    is_deeply [ grep { !$seen{$_} } sort keys %seen ], [], 'every $ref leads somewhere';
    for my $kind (qw(schemas responses)) {
        is_deeply [ grep { !exists $seen{"#/components/$kind/$_"} } sort keys %{ $api->{components}{$kind} } ], [],
            "each of the $kind is used";
    }
};

subtest 'error codes' => sub {
    open my $fh, '<', "$top/src/core/error_codes.def" or die "cannot open error_codes.def: $!\n";
    my %status = map { /^ERROR\(\w+, (\d+), "(\w+)"/ ? ($2 => $1) : () } readline $fh;
    my @enum   = @{ $api->{components}{schemas}{Error}{properties}{code}{enum} };
    is_deeply [ sort @enum ], [ sort keys %status ], 'the codes of the document are those of the table';
    for my $name (sort keys %documented) {
        for my $code (sort keys %{ $documented{$name}{responses} }) {
            next if $code < 400;
            my $response = resolve($documented{$name}{responses}{$code});
            my $schema   = resolve($response->{content}{'application/json'}{schema}) // next;    # a page
            next if $schema != $api->{components}{schemas}{Error};
            my @named = grep { $status{$_} } $response->{description} =~ /`(\w+)`/g;
            cmp_ok scalar @named, '>', 0, "$name $code names its codes";
            is_deeply [ grep { $status{$_} != $code } @named ], [], "$name $code: codes of this status";
        }
    }
};

# What is wrong with a value by a schema; as much of JSON Schema as the document uses.
sub faults ($value, $schema, $where) {
    $schema = resolve($schema);
    return map { faults($value, $_, $where) } @{ $schema->{allOf} } if $schema->{allOf};
    my $type = json_type($value);
    my $want = $schema->{type} // return;
    $type = 'integer' if $type eq 'number' && $want eq 'integer' && $value =~ /\A-?\d+\z/;
    return "$where is $type, not $want" if $type ne $want;
    my @fault;
    push @fault, "$where '$value' is none of its enum"
        if $schema->{enum} && !grep { $_ eq $value } @{ $schema->{enum} };
    push @fault, "$where '$value' is not like $schema->{pattern}" if $schema->{pattern} && $value !~ /$schema->{pattern}/;
    if ($want eq 'object') {
        push @fault, map {"$where lacks $_"} grep { !exists $value->{$_} } @{ $schema->{required} // [] };
        push @fault, map { faults($value->{$_}, $schema->{properties}{$_}, "$where.$_") }
            grep { exists $value->{$_} } sort keys %{ $schema->{properties} // {} };
    }
    if ($want eq 'array') {
        push @fault, map { faults($value->[$_], $schema->{items}, "$where\[$_]") } 0 .. $#$value;
    }
    return @fault;
}

# Fields of an object that its schema does not know.
sub unknown ($value, $schema) {
    $schema = resolve($schema);
    return map { unknown($_, $schema->{items}) } @$value if ref $value eq 'ARRAY';
    my %known = map { %{ resolve($_)->{properties} // {} } } $schema, @{ $schema->{allOf} // [] };
    return grep { !$known{$_} } sort keys %$value;
}

subtest 'answers' => sub {
    my $server = Verstak::Server->new(config => { 'server.public_url' => 'http://sync.example.org' });
    my ($name, $password) = $server->create_user;
    my $device  = $server->pair_device($name, $password);
    my $other   = $server->pair_device($name, $password);
    my $spare   = $server->pair($name, $password);
    my %token   = (token => $device->{device_token});
    my %admin   = $server->admin_login;
    my $id      = $server->{user_id}{$name};
    my $file    = Verstak::Server::op(entity_id => 'x', last_seen_server_seq => 1);
    $server->push($other->{device_token}, map { Verstak::Server::op(entity_id => 'x') } 1 .. 3);
    my ($type, $body) = Verstak::HTTP::multipart({ name => 'file', filename => 'a', content => 'bytes' });
    my %login  = (login => $name, password => $password);
    my %test   = (username => $name, password => $password);
    my %edit   = (username => "$name-edited", email => 'edited@example.org');
    my ($mail) = $server->dbh->selectrow_array(
        q{INSERT INTO email_outbox (template, user_id, recipient, locale, detail, expires_at)
          VALUES ('password_changed', ?, 'x@example.org', 'en', '', now() + interval '1 day') RETURNING id}, undef, $id);
    my %create = (username => 'new', email => 'new@example.org', password => 'long enough');
    my @call   = (
        [ 'GET /livez' => 200 ],
        [ 'GET /readyz' => 200 ],
        [ 'GET /api/v1/health' => 200 ],
        [ 'POST /api/client/pair' => 200, json => \%login ],
        [ 'POST /api/client/pair' => 400, json => {} ],
        [ 'POST /api/client/pair' => 401, json => { %login, password => 'wrong' } ],
        [ 'POST /api/auth/test' => 200, json => \%test ],
        [ 'POST /api/auth/test' => 401, json => { %test, password => 'wrong' } ],
        [ 'GET /api/client/me' => 200, %token ],
        [ 'GET /api/client/me' => 401 ],
        [ 'POST /api/client/revoke-current' => 200, token => $spare ],
        [ 'POST /api/client/revoke-device' => 403, %token, json => { device_id => $other->{device_id}, password => 'wrong' } ],
        [ 'POST /api/client/revoke-device' => 404, %token, json => { device_id => 'dev_x', password => $password } ],
        [ 'POST /api/v1/sync/push' => 200, %token, json => { ops => [$file] } ],
        [ 'POST /api/v1/sync/push' => 400, %token, json => { ops => [ {} ] } ],
        [ 'POST /api/v1/sync/push' => 413, %token, json => { ops => [ ({}) x 101 ] } ],
        [ 'POST /api/v1/sync/pull' => 200, %token, json => { since_sequence => 0 } ],
        [ 'POST /api/v1/sync/pull' => 400, %token, json => { since_sequence => -1 } ],
        [ 'POST /api/v1/blobs/' => 200, %token, type => $type, body => $body ],
        [ 'POST /api/v1/blobs/' => 400, %token, body => 'x' ],
        [ 'GET /api/v1/blobs/{}' => 400, %token, path => '/api/v1/blobs/x' ],
        [ 'GET /api/v1/blobs/{}' => 404, %token, path => '/api/v1/blobs/' . 'a' x 64 ],
        [ 'POST /api/client/revoke-device' => 200, %token, json => { device_id => $other->{device_id}, password => $password } ],
        [ 'POST /admin/login' => 200, form => { username => $Verstak::Server::ADMIN, password => $Verstak::Server::ADMIN_PASSWORD } ],
        [ 'POST /admin/login' => 401, form => { username => 'nobody', password => 'wrong' } ],
        [ 'GET /admin/api/session' => 200, %admin ],
        [ 'GET /admin/api/session' => 401 ],
        [ 'GET /admin/api/stats' => 200, %admin ],
        [ 'GET /admin/api/users' => 200, %admin ],
        [ 'POST /admin/api/users/create' => 200, %admin, json => \%create ],
        [ 'POST /admin/api/users/create' => 409, %admin, json => \%create ],
        [ 'POST /admin/api/users/create' => 400, %admin, json => { %create, password => 'x' } ],
        [ 'POST /admin/api/users/create' => 403, cookie => $admin{cookie}, json => \%create ],
        [ 'POST /admin/api/users/{}/block' => 200, %admin, path => "/admin/api/users/$id/block" ],
        [ 'POST /admin/api/users/{}/block' => 404, %admin, path => '/admin/api/users/0/block' ],
        [ 'POST /admin/api/users/{}/edit' => 200, %admin, path => "/admin/api/users/$id/edit", json => \%edit ],
        [ 'POST /admin/api/users/{}/edit' => 400, %admin, path => "/admin/api/users/$id/edit", json => {} ],
        [ 'POST /admin/api/users/{}/edit' => 404, %admin, path => '/admin/api/users/0/edit', json => \%edit ],
        [ 'POST /admin/api/users/{}/edit' => 409, %admin, path => "/admin/api/users/$id/edit", json => { %edit, username => 'new' } ],
        [ 'POST /admin/api/users/{}/reset-password' => 200, %admin, path => "/admin/api/users/$id/reset-password" ],
        [ 'POST /admin/api/users/{}/reset-password' => 404, %admin, path => '/admin/api/users/0/reset-password' ],
        [ 'GET /admin/api/devices' => 200, %admin ],
        [ 'GET /admin/api/keys' => 200, %admin ],
        [ 'DELETE /admin/api/keys/{}' => 404, %admin, path => '/admin/api/keys/dev_x' ],
        [ 'DELETE /admin/api/keys/{}' => 200, %admin, path => "/admin/api/keys/$other->{device_id}" ],
        [ 'GET /admin/api/settings' => 200, %admin ],
        [ 'POST /admin/api/settings' => 200, %admin, json => { server_name => 'Ours' } ],
        [ 'POST /admin/api/settings' => 400, %admin, json => { registration => 'x' } ],
        [ 'GET /admin/api/smtp' => 200, %admin ],
        [ 'POST /admin/api/smtp' => 200, %admin, json => { smtp_user => 'x' } ],
        [ 'POST /admin/api/smtp' => 400, %admin, json => { smtp_port => 'x' } ],
        [ 'POST /admin/api/smtp' => 409, %admin, json => { server_url => 'http://elsewhere.example.org' } ],
        [ 'POST /admin/api/smtp/test' => 200, %admin, json => { smtp_host => '127.0.0.1', smtp_port => 1, smtp_from => 'a@example.org', test_to => 'b@example.org' } ],
        [ 'POST /admin/api/smtp/test' => 400, %admin, json => {} ],
        [ 'GET /admin/api/outbox' => 200, %admin ],
        [ 'GET /admin/api/outbox' => 400, %admin, path => '/admin/api/outbox?state=x' ],
        [ 'POST /admin/api/outbox/{}/retry' => 404, %admin, path => '/admin/api/outbox/0/retry' ],
        [ 'POST /admin/api/outbox/{}/retry' => 200, %admin, path => "/admin/api/outbox/$mail/retry" ],
        [ 'DELETE /admin/api/users/{}' => 404, %admin, path => '/admin/api/users/0' ],
        [ 'DELETE /admin/api/users/{}' => 200, %admin, path => "/admin/api/users/$id" ],
        [ 'POST /admin/login' => 403, headers => [ 'Sec-Fetch-Site' => 'cross-site' ] ],
        [ 'POST /admin/logout' => 200, %admin ],
    );
    my $people  = Verstak::People->new($server);
    my $person  = $people->sign_up;
    my $paired  = $server->pair_device($person->{username}, $person->{password});
    my $session = $people->session($person);
    my %user    = (token => $session->{token});
    my %cookie  = (cookie => "user_session=$session->{token}");
    my %asked   = (json => { password => $person->{password} });
    my %guess   = (token => 'ab' x 32);
    my $fresh   = $people->person;
    my $second  = $people->person;
    $people->register($second);
    my %fresh   = (username => $fresh->{username}, email => $fresh->{email}, password => $fresh->{password});
    push @call, (
        [ 'POST /api/v1/auth/register' => 200, json => \%fresh ],
        [ 'POST /api/v1/auth/register' => 400, json => { %fresh, password => 'x' } ],
        [ 'POST /api/v1/auth/register' => 409, json => \%fresh ],
        [ 'POST /api/v1/auth/login' => 403, json => { username => $fresh->{username}, password => $fresh->{password} } ],
        [ 'GET /api/v1/auth/confirm' => 400, path => "/api/v1/auth/confirm?token=$guess{token}" ],
        [ 'GET /api/v1/auth/confirm' => 200, sub { (path => '/api/v1/auth/confirm?token=' . $people->secret(confirm => $fresh->{email})) } ],
        [ 'POST /api/v1/auth/confirm' => 200, json => { token => $people->secret(confirm => $second->{email}) } ],
        [ 'POST /api/v1/auth/confirm' => 400, json => \%guess ],
        [ 'POST /api/v1/auth/login' => 200, json => { username => $fresh->{username}, password => $fresh->{password} } ],
        [ 'POST /api/v1/auth/login' => 400, json => {} ],
        [ 'POST /api/v1/auth/login' => 401, json => { username => $fresh->{username}, password => 'wrong' } ],
        [ 'POST /api/v1/auth/forgot' => 200, json => { email => $fresh->{email} } ],
        [ 'POST /api/v1/auth/forgot' => 400, json => { email => 'x' } ],
        [ 'POST /api/v1/auth/reset' => 400, json => { %guess, new_password => 'long enough' } ],
        [ 'POST /api/v1/auth/reset' => 200, sub { (json => { token => $people->secret(reset => $fresh->{email}), new_password => $fresh->{password} }) } ],
        [ 'GET /api/v1/user/me' => 200, %user ],
        [ 'GET /api/v1/user/me' => 401 ],
        [ 'GET /api/v1/user/devices' => 200, %user ],
        [ 'GET /api/v1/user/devices' => 401 ],
        [ 'POST /api/v1/user/devices/{}/revoke' => 400, %user, path => '/api/v1/user/devices/x/revoke', json => {} ],
        [ 'POST /api/v1/user/devices/{}/revoke' => 403, %user, path => '/api/v1/user/devices/x/revoke', json => { password => 'wrong' } ],
        [ 'POST /api/v1/user/devices/{}/revoke' => 404, %user, path => '/api/v1/user/devices/x/revoke', %asked ],
        [ 'POST /api/v1/user/devices/{}/revoke' => 200, %user, path => "/api/v1/user/devices/$paired->{device_id}/revoke", %asked ],
        [ 'POST /api/v1/user/password' => 400, %user, json => {} ],
        [ 'POST /api/v1/user/password' => 403, %cookie, json => {} ],
        [ 'POST /api/v1/user/password' => 200, %user, json => { password => $person->{password}, new_password => $person->{password} } ],
        [ 'POST /api/v1/user/email' => 400, %user, json => {} ],
        [ 'POST /api/v1/user/email' => 409, %user, json => { password => $person->{password}, email => $fresh->{email} } ],
        [ 'POST /api/v1/user/email' => 200, %user, json => { password => $person->{password}, email => 'other@example.org' } ],
        [ 'POST /api/v1/user/delete' => 403, %user, json => { password => 'wrong' } ],
        [ 'POST /api/v1/user/logout' => 200, sub { (token => $people->session($person)->{token}) } ],
        [ 'POST /api/v1/user/logout' => 403, %cookie ],
        [ 'POST /api/v1/user/logout-all' => 200, sub { (token => $people->session($person)->{token}) } ],
        [ 'POST /api/v1/user/delete' => 200, sub { (token => $people->session($person)->{token}, %asked) } ],
    );
    my %page = map { $_ => 1 } 'GET /', 'GET /confirm', 'GET /reset', 'GET /assets/page.css';
    my %called;
    for my $call (@call) {
        my ($route, $status, @option) = @$call;
        my %option = ref $option[0] ? $option[0]->() : @option;    # a sub: what the calls before have made
        my ($method, $path) = split ' ', $route;
        $called{$route} = 1;
        my $response = $server->request($method => delete $option{path} // $path, %option);
        is_status($response, $status, "$route: $status") or next;
        my $documented = resolve($documented{$route}{responses}{$status});
        ok $documented, "$route $status is documented" or next;
        my $schema = $documented->{content}{'application/json'}{schema};
        my $data   = $response->json;
        is_deeply [ faults($data, $schema, 'answer') ], [], "$route $status: as its schema says";
        is_deeply [ ref $data eq 'ARRAY' ? map { unknown($_, $schema->{items}) } @$data : unknown($data, $schema) ], [], "$route $status: every field is documented";
    }
    is_deeply [ grep { !$called{$_} && !$page{$_} } sort keys %route ], [], 'every route was called';
};

done_testing;
