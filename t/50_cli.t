# `verstak-sync-server user …`: beside a running server, without one, on a shared database; passwords from every source.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::Postgres;
use Verstak::Processes qw(alive children_of descendants slurp title);
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $binary   = Verstak::Server::binary();
my $PASSWORD = 'a password of a user';
my $server   = Verstak::Server->new(database => 'private');
my @data     = ('--data', $server->data);
my $scratch  = $server->base;

# Runs the command with this standard input; returns exit status, output, errors.
sub run_command ($input, @arguments) {
    utf8::encode($_) for $input, @arguments;
    open my $in, '>', "$scratch/in" or die "cannot write: $!\n";
    print {$in} $input;
    close $in;
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', "$scratch/in"  or POSIX::_exit(127);
        open STDOUT, '>', "$scratch/out" or POSIX::_exit(127);
        open STDERR, '>', "$scratch/err" or POSIX::_exit(127);
        delete @ENV{ grep { /\AVERSTAK_(?!TEST)/ } keys %ENV };
        { no warnings 'exec'; exec { $binary } $binary, @arguments; }
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, map { utf8::decode(my $text = slurp("$scratch/$_")); $text } qw(out err));
}

sub user (@arguments) { return run_command('', 'user', @arguments, @data) }

sub done ($name, $pattern, @result) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $result[0], 0, "$name: done" or diag $result[2];
    like $result[1], $pattern, "$name: says so";
    is $result[2], '', "$name: no errors";
    return;
}

sub refused ($name, $status, $pattern, @result) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $result[0], $status, "$name: status $status";
    like $result[2], qr/\Averstak-sync-server: $pattern/, "$name: the reason";
    is $result[1], '', "$name: nothing else";
    return;
}

sub login ($name, $password = $PASSWORD) {
    return $server->request(POST => '/api/auth/test', json => { username => $name, password => $password });
}

# The lines of `user list` as hashes.
sub list (@arguments) {
    my ($status, $out, $err) = user('list', @arguments);
    is $status, 0, "list @arguments" or diag $err;
    my ($head, @lines) = split /\n/, $out;
    my @column = map {lc} split /\t/, $head;
    return map { my %row; @row{@column} = split /\t/, $_, -1; \%row } @lines;
}

subtest 'add' => sub {
    done('from standard input', qr/\Auser 'ann' added, id \d+\n\z/, run_command("$PASSWORD\n", qw(user add ann --password-stdin), @data));
    is_status(login('ann'), 200, 'the user can log in at once');
    ok $server->pair('ann', $PASSWORD), 'and pair';

    open my $fh, '>', "$scratch/password" or die "cannot write: $!\n";
    print {$fh} "$PASSWORD\r\nanother line\n";
    close $fh;
    chmod 0600, "$scratch/password";
    done('from a file that only the caller can read', qr/'Боб'/,
        user('add', 'Боб', '--email', 'bob@example.org', '--password-file', "$scratch/password"));
    is_status(login('bob@example.org'), 200, 'the first line is the password; the address will do');
    done('without the end of the line', qr/'carl'/, run_command($PASSWORD, qw(user add carl --password-stdin), @data));
    is_status(login('carl'), 200, 'the same');
    done('flags before the words', qr/'dora'/, run_command($PASSWORD, 'user', @data, qw(--password-stdin add dora)));
    done('values after =', qr/'emil'/,
        run_command($PASSWORD, qw(user add emil --email=emil@example.org --password-stdin), "--data=$data[1]"));
};

subtest 'add refused' => sub {
    my $add = sub ($password, @arguments) { run_command($password, qw(user add), @arguments, '--password-stdin', @data) };
    refused('a name that is taken',      1, qr/user name or e-mail address is taken$/m, $add->($PASSWORD, 'ann'));
    refused('a name that is taken, in capitals', 1, qr/user name or/,                   $add->($PASSWORD, 'ANN'));
    refused('an address that is taken',  1, qr/user name or/, $add->($PASSWORD, 'other', '--email', 'BOB@example.org'));
    refused('a short password',          1, qr/PASSWORD_TOO_SHORT/, $add->('1234567', 'other'));
    refused('a long password',           1, qr/PASSWORD_TOO_LONG/,  $add->('x' x 257, 'other'));
    refused('an empty password',         1, qr/PASSWORD_TOO_SHORT/, $add->("\n$PASSWORD", 'other'));
    refused("name '$_'",                 2, qr/username/, $add->($PASSWORD, $_)) for 'a@b', ' a', "a\nb", '', 'x' x 65;
    refused("address '$_'",              2, qr/email/,    $add->($PASSWORD, 'other', '--email', $_)) for '', 'x', "a\@b\nc";
    refused('no name',                   2, qr/user add: needs a name/, $add->($PASSWORD));
    refused('two names',                 2, qr/unexpected argument 'b'/, $add->($PASSWORD, 'a', 'b'));
    refused('no password and no terminal', 1, qr/no password given; use --password-file/, user('add', 'other'));
    refused('a password file that is none', 1, qr/cannot read the password from '\/nowhere': No such file/,
        user(qw(add other --password-file /nowhere)));
    refused('two sources', 2, qr/only one of/, user(qw(add other --password-stdin --password-file /nowhere)));
    is scalar(grep { $_->{name} eq 'other' } list()), 0, 'nobody was added';
};

subtest 'list' => sub {
    my %user = map { $_->{name} => $_ } list();
    is_deeply [ sort keys %user ], [ sort 'ann', 'Боб', 'carl', 'dora', 'emil' ], 'all users';
    is $user{ann}{email},     '',                'no address';
    is $user{'Боб'}{email},   'bob@example.org', 'an address';
    is $user{ann}{state},     'active',          'state';
    is $user{ann}{devices},   1,                 'devices';
    is $user{carl}{devices},  0,                 'no devices';
    is $user{carl}{last_seen}, '',               'never seen';
    like $user{ann}{created}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/a, 'created';
    is_deeply [ map { $_->{name} } list('AR') ], ['carl'], 'a part of the name';
    is_deeply [ map { $_->{name} } list('bob@') ], ['Боб'], 'a part of the address';
    is_deeply [ list('%') ], [], 'no pattern';
    my ($status, $out) = user('list');
    unlike $out, qr/\$2[aby]\$/, 'no password hash';
};

subtest 'block, unblock' => sub {
    my $token = $server->pair('carl', $PASSWORD);
    my $me    = sub { $server->request(GET => '/api/client/me', token => $token) };
    done('block', qr/\Auser 'carl' blocked\n/, user('block', 'Carl'));
    is_error($me->(), 403, 'forbidden', "a device of the user", 'account blocked');
    is_error(login('carl'), 403, 'forbidden', 'a login', 'account blocked');
    is((list('carl'))[0]{state}, 'blocked', 'the list says so');
    done('block again', qr/blocked/, user('block', 'carl'));
    is_error($me->(), 403, 'forbidden', 'still', 'account blocked');
    done('unblock', qr/\Auser 'carl' unblocked\n/, user('unblock', 'carl'));
    is_status($me->(), 200, 'the device is admitted again');
    refused('block of nobody',   1, qr/no user 'nobody'/, user(qw(block nobody)));
    refused('unblock of nobody', 1, qr/no user 'nobody'/, user(qw(unblock nobody)));
    refused('block without a name', 2, qr/user block: needs a name/, user('block'));
};

subtest 'passwd' => sub {
    my $token = $server->pair('dora', $PASSWORD);
    done('passwd', qr/\Auser 'dora' has a new password\n/,
        run_command("another password\n", qw(user passwd dora --password-stdin), @data));
    is_error(login('dora'), 401, 'unauthorized', 'the old one');
    is_status(login('dora', 'another password'), 200, 'the new one');
    is_status($server->request(GET => '/api/client/me', token => $token), 200, 'devices stay paired');
    refused('passwd of nobody', 1, qr/no user 'nobody'/, run_command("another password\n", qw(user passwd nobody --password-stdin), @data));
    refused('a short password', 1, qr/PASSWORD_TOO_SHORT/, run_command("short\n", qw(user passwd dora --password-stdin), @data));
    is_status(login('dora', 'another password'), 200, 'still the new one');
};

subtest 'delete' => sub {
    my $token = $server->pair('emil', $PASSWORD);
    $server->push($token, Verstak::Server::op());
    done('delete by address', qr/\Auser 'emil' deleted/, user('delete', 'emil@example.org'));
    is_error($server->request(GET => '/api/client/me', token => $token), 401, 'unauthorized', 'the device');
    is_error(login('emil'), 401, 'unauthorized', 'a login');
    is_deeply [ list('emil') ], [], 'not in the list';
    refused('delete again', 1, qr/no user 'emil'/, user('delete', 'emil'));
    done('the name is free again', qr/'emil'/, run_command($PASSWORD, qw(user add emil --password-stdin), @data));
};

subtest 'usage' => sub {
    my ($status, $out) = run_command('', qw(user --help));
    is $status, 0, '--help';
    like $out, qr/^\s+$_\b/m, "--help names $_" for qw(add list block unblock passwd delete);
    refused('no command',       2, qr/no command given/,        run_command('', 'user'));
    refused('unknown command',  2, qr/unknown command 'remove'/, user('remove', 'ann'));
    refused('unknown flag',     2, qr/--frob: unknown flag/,    user('list', '--frob'));
    refused('a flag of the server that means nothing here', 2, qr/--daemon: unknown flag/, user('list', '--daemon'));
    refused('no value',         2, qr/--data: needs a value/,   run_command('', qw(user list --data)));
    refused('a wrong value',    2, qr/--password\.cost/,        user('list', '--password.cost', 'much'));
    refused('no data directory', 1, qr{.*/nowhere/at/all},      run_command('', qw(user list --data /nowhere/at/all)));
    mkdir "$scratch/empty";
    refused('a directory that is none', 1, qr/no database in '.*empty'; start the server once/,
        run_command('', qw(user list --data), "$scratch/empty"));
    refused('--email where it means nothing', 2, qr/user list: takes no --email/, user(qw(list --email a@b)));
    refused('a password where it means nothing', 2, qr/user list: takes no password/, user(qw(list --password-stdin)));
};

subtest 'admin' => sub {
    my $admin = sub ($input, @arguments) { run_command($input, 'admin', @arguments, @data) };
    my $logs_in = sub ($password) {
        return $server->request(POST => '/admin/login', form => { username => "\xc3\x85sa \"x\"", password => $password })->status == 200;
    };
    my $config = slurp($server->config_file);
    done('a new one', qr/admin 'Åsa "x"' is in '.*config\.yml'; a running server knows it after SIGHUP/,
        $admin->("$PASSWORD\n", 'Åsa "x"', '--password-stdin'));
    $server->reload;
    ok $logs_in->($PASSWORD), 'after SIGHUP it is known';
    is sprintf('%o', (stat $server->config_file)[2] & 07777), '640', 'the file is closed to others';
    is +(stat $server->config_file)[4], (stat $server->data)[4], 'and the server\'s';
    done('a new password', qr/is in/, $admin->("$PASSWORD, too\n", 'Åsa "x"', '--password-stdin'));
    $server->reload;
    ok $logs_in->("$PASSWORD, too"), 'it is the new one';
    ok !$logs_in->($PASSWORD), 'and not the old one';
    like slurp($server->config_file), qr/\A\Q$config\E/, 'the rest of the file is as it was';
    refused('a short password', 1, qr/.*\d+ to \d+ bytes/, $admin->("short\n", 'ann', '--password-stdin'));
    refused('no name', 2, qr/admin: needs a name/, $admin->(''));
    refused('two names', 2, qr/unexpected argument 'bea'/, $admin->('', 'ann', 'bea'));
    refused('no password', 1, qr/.*--password-stdin/, $admin->('', 'ann'));
    refused('no directory', 1, qr{.*/nowhere/at}, run_command("$PASSWORD\n", qw(admin ann --password-stdin --data /nowhere/at)));
};

# A pseudo terminal from script(1): returns its pid, a handle to type into, and the file with what it showed.
sub on_terminal (@arguments) {
    my $command = join ' ', map { "'" . s/'/'\\''/gr . "'" } $binary, @arguments;
    unlink "$scratch/terminal";
    my $pid = open(my $keys, '|-', 'script', '-qfec', $command, '-O', "$scratch/terminal") or die "cannot run script: $!\n";
    $keys->autoflush(1);
    return ($pid, $keys);
}

sub shown ($pattern) {
    return wait_for("the terminal to show $pattern", 30, sub { (slurp("$scratch/terminal") // '') =~ $pattern });
}

SKIP: {
    skip 'script(1) is not here', 1 if !grep { -x "$_/script" } split /:/, $ENV{PATH};

    subtest 'at a terminal' => sub {
        open my $kept, '>&', \*STDOUT or die "cannot duplicate: $!\n";
        my $type = sub ($first, $second, @arguments) {
            open STDOUT, '>', '/dev/null' or die "cannot open: $!\n";
            my ($pid, $keys) = on_terminal('user', @arguments, @data);
            shown(qr/Password: /);
            print {$keys} "$first\n";
            shown(qr/Password again: /);
            print {$keys} "$second\n";
            close $keys;
            my $status = $? >> 8;
            open STDOUT, '>&', $kept or die "cannot restore: $!\n";
            return ($status, slurp("$scratch/terminal"));
        };
        my ($status, $text) = $type->($PASSWORD, $PASSWORD, qw(add typed));
        is $status, 0, 'typed twice' or diag $text;
        unlike $text, qr/\Q$PASSWORD\E/, 'it is not shown';
        is_status(login('typed'), 200, 'it is the password');
        ($status, $text) = $type->($PASSWORD, "$PASSWORD.", qw(add typist));
        is $status, 1, 'typed differently';
        like $text, qr/the two passwords are not the same/, 'the reason';
        is_deeply [ list('typist') ], [], 'nobody was added';
    };

    subtest 'a connection string is not shown by ps' => sub {
        open my $kept, '>&', \*STDOUT or die "cannot duplicate: $!\n";
        for my $form ([ '--database-url', 'postgresql://x:s3cret@127.0.0.1:1/x' ], ['--database-url=postgresql://x:s3cret@127.0.0.1:1/x'],
            [ '--database.url', 'postgresql://x:s3cret@127.0.0.1:1/x' ]) {
            open STDOUT, '>', '/dev/null' or die "cannot open: $!\n";
            my ($pid, $keys) = on_terminal('user', 'add', 'hidden', @$form);
            shown(qr/Password: /);
            open STDOUT, '>&', $kept or die "cannot restore: $!\n";
            my ($command) = grep { title($_) =~ /\A\Q$binary\E user/ } descendants($pid);
            ok $command, 'the command asks';
            unlike slurp("/proc/$command/cmdline"), qr/s3cret/, 'its arguments do not show the password';
            print {$keys} "\cC";
            close $keys;
            ok wait_until(10, sub { !alive($command) }), 'an interrupt ends it';
        }
    };
}

subtest 'no server runs' => sub {
    $server->stop;
    my @before = grep { title($_) =~ /postgres/ } descendants($$);
    done('add', qr/'frank'/, run_command($PASSWORD, qw(user add frank --password-stdin), @data));
    is((list('frank'))[0]{state}, 'active', 'listed');
    ok !-e $server->data . '/postgres/postmaster.pid', 'PostgreSQL was stopped again';
    my $owner = (stat $server->data)[4];
    my @foreign = grep { (lstat)[4] != $owner } split /\n/, qx{find '${\ $server->data}'};
    is_deeply \@foreign, [], 'every file belongs to the owner of the data directory';
    $server->start;
    is_status(login('frank'), 200, 'the server starts after it, and knows the user');
    is_status(login('ann'),   200, 'and those of before');
};

subtest 'a crashed server' => sub {
    $server->kill9(whole => 1);
    my ($status, $out, $err) = run_command($PASSWORD, qw(user add grete --password-stdin), @data);
    is $status, 0, 'add: done, whatever is said about what the crash left' or diag $err;
    $server->start;
    is_status(login('grete'), 200, 'PostgreSQL was recovered');
};

subtest 'a shared database' => sub {
    my $pg     = Verstak::Postgres->new;
    my @shared = ('--database-url', $pg->url);
    my @none   = ('--data', "$scratch/none");
    refused('before the first start', 1, qr/the database has not been set up for this version; start the server once/,
        run_command('', qw(user list), @shared, @none));
    my $other = Verstak::Server->new(postgres => $pg);
    done('add', qr/'hans'/, run_command($PASSWORD, qw(user add hans --password-stdin), @shared, @none));
    is_status($other->request(POST => '/api/auth/test', json => { username => 'hans', password => $PASSWORD }), 200,
        'the server on it knows the user');
    is_error(login('hans'), 401, 'unauthorized', 'the other one does not');
    my ($status, $out) = run_command('', qw(user list), '--data', $other->data);
    like $out, qr/\thans\t/, 'database.url of the configuration is used';
    $pg->stop;
    refused('without its database', 1, qr/cannot connect to the database/, run_command('', qw(user list), @shared, @none));
    $pg->start;
};

done_testing;
