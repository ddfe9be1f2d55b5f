# One answer, as Verstak::HTTP read it.
package Verstak::HTTP::Response;
use v5.36;
use JSON::PP ();

my $json = JSON::PP->new->utf8->allow_nonref;

sub from_head ($class, $head) {
    my ($first, @line) = split /\r\n/, $head;
    my ($version, $status, $reason) = $first =~ m{\AHTTP/(\d\.\d) (\d{3})(?: (.*))?\z}s
        or die "not a status line: '$first'\n";
    my @header = map { /\A([^:\s]+):[ \t]*(.*?)[ \t]*\z/s ? [ $1, $2 ] : die "not a header line: '$_'\n" } @line;
    return bless {
        version  => $version,
        status   => $status,
        reason   => $reason,
        headers  => \@header,
        body     => '',
        complete => 1,
    }, $class;
}

sub status   ($self) { return $self->{status} }
sub body     ($self) { return $self->{body} }
sub complete ($self) { return $self->{complete} }    # false: the connection ended in the middle of the body

# All values of a header, in order; in scalar context the first.
sub header ($self, $name) {
    my @value = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{headers} };
    return wantarray ? @value : $value[0];
}

sub header_names ($self) {
    return map { lc $_->[0] } @{ $self->{headers} };
}

# The body as data; undef when it is no JSON.
sub json ($self) {
    local $@;
    return scalar eval { $json->decode($self->{body}) };
}

# The code of an error answer; empty when it is none.
sub code ($self) {
    my $data = $self->json;
    return ref $data eq 'HASH' ? $data->{code} // '' : '';
}

# The value of a cookie that this answer sets; undef when it sets none of this name.
sub cookie ($self, $name) {
    my ($value) = map { /\A\Q$name\E=([^;]*)/ ? $1 : () } $self->header('Set-Cookie');
    return $value;
}

sub describe ($self) {
    return "$self->{status} " . substr $self->{body}, 0, 300;
}

1;
