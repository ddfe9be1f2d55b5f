# The outbox of a server under test: puts mails into it as the server's own functions do, and looks what became of them.
#
#   my $outbox = Verstak::Outbox->new($server);
#   my $id  = $outbox->notice('ann@example.org');        a notice, without a link
#   my @ids = $outbox->notices(map {"many-$_\@example.org"} 1 .. 200);
#   my $row = $outbox->wait_state($id, 'retrying');      a hash of the row; dies when it does not get there
#   my $row = $outbox->row_to('ann@example.org', 'reset');
package Verstak::Outbox;
use v5.36;
use Carp qw(croak);
use Verstak::Wait qw(wait_until);

# Options: dbh (else the server's).
sub new ($class, $server, %option) {
    return bless { server => $server, %option }, $class;
}

sub dbh ($self) { return $self->{dbh} //= $self->{server}->dbh }

# After the database was away.
sub reconnect ($self) {
    delete $self->{dbh};
    return $self;
}

# The account that mails made here belong to.
sub user_id ($self) {
    return $self->{user_id} //= do {
        my ($name) = $self->{server}->create_user;
        $self->{server}{user_id}{$name};
    };
}

# Puts one notice of a changed password for each recipient into the outbox, in one transaction; returns their ids in order. The detail is what the mail
# says about where it was asked for.
sub notices ($self, @recipients) {
    my $rows = $self->dbh->selectcol_arrayref(
        q{SELECT mail_put('password_changed', ?, r, 'en', NULL, NULL, '192.0.2.1', now() + interval '48 hours') FROM unnest(?::text[]) r},
        undef, $self->user_id, \@recipients
    );
    @$rows == @recipients or croak 'not every mail was put into the outbox';
    my $ids = $self->dbh->selectall_hashref(
        'SELECT recipient, max(id) AS id FROM email_outbox WHERE recipient = ANY (?) GROUP BY recipient',
        'recipient', undef, \@recipients
    );
    return map { $ids->{$_}{id} } @recipients;
}

sub notice ($self, $recipient) {
    return ($self->notices($recipient))[0];
}

sub row ($self, $id) {
    return $self->dbh->selectrow_hashref('SELECT * FROM email_outbox WHERE id = ?', undef, $id);
}

# The newest mail to an address, of a template if one is given.
sub row_to ($self, $recipient, $template = '%') {
    return $self->dbh->selectrow_hashref(
        'SELECT * FROM email_outbox WHERE recipient = ? AND template LIKE ? ORDER BY id DESC LIMIT 1',
        undef, $recipient, $template
    );
}

# How many mails are in one of the states.
sub count ($self, @states) {
    return scalar $self->dbh->selectrow_array('SELECT count(*) FROM email_outbox WHERE state = ANY (?)', undef, \@states);
}

sub waiting ($self) { return $self->count(qw(queued sending retrying)) }

sub wait_state ($self, $id, $state, %option) {
    my $row;
    wait_until($option{timeout} // 30, sub { $row = $self->row($id); $row && $row->{state} eq $state && (!$option{tries} || $row->{tries} >= $option{tries}) })
        // croak "mail $id does not get '$state': " . ($row ? "$row->{state} after $row->{tries} tries, '$row->{last_answer}'" : 'it is gone');
    return $row;
}

# Until nothing waits any more.
sub wait_drained ($self, %option) {
    wait_until($option{timeout} // 60, sub { !$self->waiting }) // croak $self->waiting . ' mails still wait';
    return 1;
}

1;
