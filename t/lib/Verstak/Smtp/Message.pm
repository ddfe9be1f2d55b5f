# A message that Verstak::Smtp accepted: its envelope and how it came, and the parts as Email::MIME reads them.
package Verstak::Smtp::Message;
use v5.36;
use Cwd            ();
use Email::MIME;
use File::Basename qw(dirname);
use JSON::PP       ();

my $json    = JSON::PP->new->utf8;
my $checker = dirname(Cwd::abs_path(__FILE__)) . '/../../mail_defects.py';

sub read ($class, $file) {    ## no critic
    open my $fh, '<:raw', $file or die "cannot read $file: $!\n";
    my $self = $json->decode(scalar readline $fh);
    local $/ = undef;
    $self->{raw}  = readline $fh;
    $self->{file} = $file;
    return bless $self, $class;
}

sub raw        ($self) { return $self->{raw} }           # the bytes, lines ended by CR LF
sub from       ($self) { return $self->{from} }          # of the envelope
sub to         ($self) { return @{ $self->{to} } }
sub time       ($self) { return $self->{time} }          ## no critic
sub connection ($self) { return $self->{connection} }    # number of the connection that it came on
sub tls        ($self) { return $self->{tls} }           # true when it came encrypted
sub user       ($self) { return $self->{user} }          # who logged in; undef when nobody did
sub helo       ($self) { return $self->{helo} }

# What Python's parser has to say against it.
sub defects ($self) {
    return @{
        $self->{defects} //= do {
            open my $pipe, '-|', qw(/usr/bin/python3 -B), $checker, $self->{file} or die "cannot run $checker: $!\n";
            my $answer = readline $pipe;
            close $pipe or die "$checker failed\n";
            $json->decode($answer);
        }
    };
}

sub is_to ($self, $to) {
    return scalar grep { ref $to ? $_ =~ $to : $_ eq $to } $self->to;
}

sub mime ($self) {
    return $self->{mime} //= Email::MIME->new($self->{raw});
}

# A header's value, decoded to characters; undef when there is none. In list context all of them.
sub header ($self, $name) { return $self->mime->header_str($name) }

# The header's lines as they came.
sub raw_header ($self, $name) {
    return $self->raw =~ /\A(?:.+\r\n)*?(\Q$name\E:.*\r\n(?:[ \t].*\r\n)*)/i ? $1 : undef;
}

sub subject    ($self) { return scalar $self->header('Subject') }
sub message_id ($self) { return scalar $self->header('Message-ID') }

# The parts that are no multipart, in order.
sub parts ($self) {
    my @found;
    $self->mime->walk_parts(sub ($part) { push @found, $part if !$part->subparts });
    return @found;
}

# The text of the first part of a type, as characters.
sub text ($self, $type = 'text/plain') {
    my ($part) = grep { ($_->content_type // '') =~ m{\A\Q$type\E\b}i } $self->parts;
    return $part && $part->body_str;
}

# The links in the plain text.
sub links ($self) {
    return ($self->text // '') =~ m{(https?://[^\s<>"]+)}g;
}

# The token that the link carries; undef when there is none.
sub token ($self) {
    return ($self->text // '') =~ /[?&]token=([0-9a-f]{64})\b/ ? $1 : undef;
}

1;
