# People who have accounts of their own: registering, reading e-mails out of the outbox, logging in, filling in forms.
#
#   my $people = Verstak::People->new($server);
#   my $ann    = $people->sign_up('ann');               name, email, password, id; the address is confirmed
#   my %ann    = $people->login($ann);                  cookie and csrf, for a request as a browser
#   my $token  = $people->secret('reset', $ann->{email});
package Verstak::People;
use v5.36;
use Carp qw(croak);
use Verstak::Server;

our $PASSWORD = 'a password of their own';

sub new ($class, $server) {
    return bless { server => $server }, $class;
}

# The server's database; one connection for all that is asked.
sub dbh ($self) {
    return $self->{dbh} //= $self->{server}->dbh;
}

sub value ($self, $sql, @bind) {
    return scalar $self->dbh->selectrow_array($sql, undef, @bind);
}

# The newest e-mail of this template to this address as a row of the outbox; undef when there is none.
sub mail ($self, $template, $recipient) {
    return $self->dbh->selectrow_hashref(
        'SELECT * FROM email_outbox WHERE template = ? AND recipient = ? ORDER BY id DESC LIMIT 1',
        undef, $template, $recipient);
}

# The token of that e-mail.
sub secret ($self, $template, $recipient) {
    my $mail = $self->mail($template, $recipient) // croak "no e-mail '$template' to $recipient";
    return push(@{ $self->{secrets} }, $mail->{secret}) ? $mail->{secret} : undef;
}

# Every token and password that went through this object: none of them may be in a log.
sub secrets ($self) {
    my %seen;
    return grep { defined && !$seen{$_}++ } @{ $self->{secrets} };
}

sub post ($self, $path, $data, %option) {
    return $self->{server}->request(POST => $path, json => $data, %option);
}

# Fields of a person whose name nobody has yet.
sub person ($self, $name = Verstak::Server::next_name('person'), %field) {
    my $person = { username => $name, email => lc($name) . '@example.org', password => "$PASSWORD $name", %field };
    push @{ $self->{secrets} }, $person->{password};
    return $person;
}

sub register ($self, $person, %option) {
    return $self->post('/api/v1/auth/register', { %$person{qw(username email password)} }, %option);
}

# A person whose account is made and confirmed.
sub sign_up ($self, $name = Verstak::Server::next_name('person'), %field) {
    my $person = $self->person($name, %field);
    $self->{server}->expect_ok($self->register($person), "register $name");
    $self->{server}->expect_ok(
        $self->post('/api/v1/auth/confirm', { token => $self->secret('confirm', $person->{email}) }),
        "confirm $name");
    $person->{id} = $self->value('SELECT id FROM users WHERE name = ?', $person->{username});
    return $person;
}

# The answer to a login, whatever it is; %field overrides.
sub login_response ($self, $person, %option) {
    return $self->post('/api/v1/auth/login',
        { username => $person->{username}, password => $person->{password} }, %option);
}

# The data of a login's answer that must be 200.
sub session ($self, $person, %option) {
    my $answer = $self->{server}->expect_ok($self->login_response($person, %option), "login $person->{username}");
    push @{ $self->{secrets} }, @$answer{qw(token csrf_token)};
    return $answer;
}

# Options (cookie, csrf) of a browser's requests after a login.
sub login ($self, $person, %option) {
    my $session = $self->session($person, %option);
    return (cookie => "user_session=$session->{token}", csrf => $session->{csrf_token});
}

# What a browser would send when the button of the page's form is pressed: (path, fields).
sub form ($self, $path, $response, %filled) {
    my ($action) = $response->body =~ /<form method="post" action="([^"]*)">/ or croak 'no form in the page';
    my %field = $response->body =~ /<input type="hidden" name="([^"]*)" value="([^"]*)">/g;
    return (resolve($path, $action), { %field, %filled });
}

# A relative link as a browser follows it from a page at $path.
sub resolve ($path, $link) {
    return $link if $link =~ m{\A/};
    my ($where, $query) = $link =~ /\A([^?]*)(.*)\z/s;
    my @place = grep {length} split m{/}, $path =~ s{\?.*}{}sr =~ s{[^/]*\z}{}r;
    for my $step (split m{/}, $where) {
        if    ($step eq '..') { pop @place }
        elsif ($step ne '.')  { push @place, $step }
    }
    return '/' . join('/', @place) . $query;
}

1;
