# An HTTP/1.1 client on a bare socket, so that a test can send what no library would: raw heads, chunk by chunk, several
# requests in one write, half an upload, one byte at a time.
#
#   my $c = Verstak::HTTP->new('127.0.0.1', $port, local => '127.0.0.7');
#   $c->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");  my $r = $c->response;
#   my $r = $c->request(POST => '/path', json => {…}, token => $token);
#   $c->is_closed; $c->reset; $c->half_close;
package Verstak::HTTP;
use v5.36;
use Carp     qw(croak);
use Errno    qw(EAGAIN EINTR EINPROGRESS);
use Exporter qw(import);
use IO::Select;
use JSON::PP    ();
use Socket      qw(:DEFAULT IPPROTO_TCP TCP_NODELAY inet_aton inet_ntoa pack_sockaddr_in unpack_sockaddr_in);
use Time::HiRes qw(time);
use Verstak::HTTP::Response;
use Verstak::Wait;
our @EXPORT_OK = qw(chunked multipart encode_json);

$SIG{PIPE} = 'IGNORE';

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
sub encode_json ($value) { return $json->encode($value) }

# Options: local (source address, any of 127/8), timeout (seconds for each answer, 30 by default).
sub new ($class, $host, $port, %option) {
    my $self = bless { host => $host, port => $port, in => '', timeout => 30, %option }, $class;
    socket $self->{socket}, PF_INET, SOCK_STREAM, 0 or croak "cannot make a socket: $!";
    if (my $local = $self->{local}) {
        setsockopt $self->{socket}, SOL_SOCKET, SO_REUSEADDR, 1;
        bind $self->{socket}, pack_sockaddr_in(0, inet_aton($local)) or croak "cannot bind $local: $!";
    }
    if ($self->{receive_buffer}) {
        setsockopt $self->{socket}, SOL_SOCKET, SO_RCVBUF, $self->{receive_buffer};
    }
    connect $self->{socket}, pack_sockaddr_in($port, inet_aton($host)) or croak "cannot connect to $host:$port: $!";
    setsockopt $self->{socket}, IPPROTO_TCP, TCP_NODELAY, 1;
    $self->{socket}->blocking(0);
    return $self;
}

sub socket_handle ($self) { return $self->{socket} }

sub deadline ($self, $seconds = $self->{timeout}) {
    return time + $seconds * Verstak::Wait::slowness();
}

# Reads what has come. Returns false at the end of the stream; {reset} tells an RST from a FIN.
sub fill ($self) {
    return 0 if $self->{eof};
    my $got = sysread $self->{socket}, $self->{in}, 1 << 18, length $self->{in};
    return 1 if $got;
    return 1 if !defined $got && ($! == EAGAIN || $! == EINTR);
    $self->{eof}   = 1;
    $self->{reset} = "$!" if !defined $got;
    return 0;
}

# Waits until the socket is readable and takes what is there; false at the end of the stream or of the time.
sub wait_readable ($self, $deadline) {
    my $left = $deadline - time;
    return 0 if $left <= 0 || $self->{eof};
    return 0 if !IO::Select->new($self->{socket})->can_read($left);
    return $self->fill;
}

# Sends bytes, reading meanwhile so that an early answer is not lost. Returns how many the kernel took before the peer
# closed or the time was over.
sub send ($self, $bytes, %option) {    ## no critic
    my $deadline = $self->deadline($option{timeout} // 60);
    my $sent     = 0;
    my $select   = IO::Select->new($self->{socket});
    while ($sent < length $bytes && time < $deadline) {
        my $wrote = syswrite $self->{socket}, $bytes, 1 << 18, $sent;
        if (defined $wrote) { $sent += $wrote; next }
        last if $! != EAGAIN && $! != EINTR;
        my ($readable) = IO::Select->select($self->{eof} ? undef : $select, $select, undef, 1);
        $self->fill if $readable && @$readable;
    }
    return $sent;
}

# Sends a piece at a time with a rest of $rest seconds after each; stops when the peer has closed.
sub send_slowly ($self, $bytes, $piece, $rest) {
    my $sent = 0;
    while ($sent < length $bytes) {
        my $now = $self->send(substr $bytes, $sent, $piece) or last;
        $sent += $now;
        $self->wait_readable(time + $rest);
        Verstak::Wait::pause($rest) if !$self->{eof} && length $self->{in};
        last                        if $self->{eof};
    }
    return $sent;
}

# The text of a request head. Options: token, cookie, headers ([name => value, …]), host; length (undef: no body).
sub head ($method, $path, %option) {
    my @line = ("$method $path HTTP/1.1", 'Host: ' . ($option{host} // 'localhost'));
    push @line, "Authorization: Bearer $option{token}" if defined $option{token};
    push @line, "Cookie: $option{cookie}"              if defined $option{cookie};
    push @line, "X-CSRF-Token: $option{csrf}"          if defined $option{csrf};
    push @line, "Content-Type: $option{type}"          if defined $option{type};
    push @line, "Content-Length: $option{length}"      if defined $option{length};
    push @line, 'Transfer-Encoding: chunked'           if $option{chunked};
    my @header = @{ $option{headers} // [] };
    while (my ($name, $value) = splice @header, 0, 2) { push @line, "$name: $value" }
    return join("\r\n", @line) . "\r\n\r\n";
}

# Sends one request and returns its answer (see response). A body comes as json => data, form => {…}, body => bytes,
# or chunks => [bytes, …] (chunked), or stream => [length, sub { next bytes or undef }].
sub request ($self, $method, $path, %option) {
    $self->send_request($method, $path, %option);
    return $self->response(method => $method, %option);
}

sub send_request ($self, $method, $path, %option) {
    my $body = $option{body};
    if (exists $option{json}) {
        $body = encode_json($option{json});
        $option{type} //= 'application/json';
    }
    if ($option{form}) {
        $body = form($option{form});
        $option{type} //= 'application/x-www-form-urlencoded';
    }
    if ($option{chunks}) {
        return $self->send(head($method, $path, %option, chunked => 1) . chunked(@{ $option{chunks} }));
    }
    if (my $stream = $option{stream}) {
        $self->send(head($method, $path, %option, length => $stream->[0]));
        while (defined(my $bytes = $stream->[1]->())) { $self->send($bytes) == length $bytes or last }
        return;
    }
    return $self->send(head($method, $path, %option, defined $body ? (length => length $body) : ()) . ($body // ''));
}

# Reads the next answer (1xx ones are skipped and kept in {interim}). undef when the connection ends without one; dies
# when the time is over. Options: method (HEAD has no body), timeout, sink (called with pieces of the body).
sub response ($self, %option) {
    my $deadline = $self->deadline($option{timeout} // $self->{timeout});
    my $response;
    while (1) {
        while ($self->{in} !~ /\r\n\r\n/) {
            next   if $self->wait_readable($deadline);
            return if $self->{eof};
            croak "no answer in time; so far: '$self->{in}'";
        }
        $self->{in} =~ s/\A(.*?\r\n)\r\n//s or croak 'no head';
        $response = Verstak::HTTP::Response->from_head($1);
        last if $response->status >= 200;
        push @{ $self->{interim} }, $response;
    }
    $self->read_body($response, $deadline, %option);
    return $response;
}

sub read_body ($self, $response, $deadline, %option) {
    my $status = $response->status;
    return if ($option{method} // '') eq 'HEAD' || $status == 204 || $status == 304;
    my $take = sub ($bytes) { $option{sink} ? $option{sink}->($bytes) : ($response->{body} .= $bytes) };
    if (lc($response->header('Transfer-Encoding') // '') eq 'chunked') {
        $self->read_chunks($response, $take, $deadline);
    } elsif (defined(my $length = $response->header('Content-Length'))) {
        $response->{complete} = $self->read_exactly($length, $take, $deadline);
    } else {
        1 while $self->wait_readable($deadline);
        $response->{complete} = $self->{eof} && !$self->{reset};
        $take->($self->{in});
        $self->{in} = '';
    }
    return;
}

sub read_exactly ($self, $length, $take, $deadline) {
    while ($length > 0) {
        if ($self->{in} eq '') {
            $self->wait_readable($deadline) or return 0;
            next;
        }
        my $piece = substr $self->{in}, 0, $length, '';
        $length -= length $piece;
        $take->($piece);
    }
    return 1;
}

sub read_chunks ($self, $response, $take, $deadline) {
    $response->{complete} = 0;
    while (1) {
        until ($self->{in} =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
            $self->wait_readable($deadline) or return;
        }
        my $length = hex $1;
        last if $length == 0;
        $self->read_exactly($length, $take,   $deadline) or return;
        $self->read_exactly(2,       sub { }, $deadline) or return;
    }
    until ($self->{in} =~ s/\A((?:[^\r\n]+\r\n)*)\r\n//) {
        $self->wait_readable($deadline) or return;
    }
    $response->{complete} = 1;
    return;
}

# True when the server closes the connection within the time; what it sends before is kept for response().
sub is_closed ($self, $seconds = 10) {
    my $deadline = $self->deadline($seconds);
    1 while $self->wait_readable($deadline);
    return $self->{eof} ? 1 : 0;
}

# True while nothing has come and the connection stands.
sub is_silent ($self, $seconds = 0.1) {
    $self->wait_readable(time + $seconds);
    return !$self->{eof} && $self->{in} eq '';
}

sub half_close ($self) { return shutdown $self->{socket}, 1 }
sub close      ($self) { return CORE::close $self->{socket} }    ## no critic

# Ends the connection with an RST, as a crashed client or a cut line does.
sub reset ($self) {    ## no critic
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    return CORE::close $self->{socket};
}

# Chunked transfer coding of the pieces given, with the last chunk.
sub chunked (@pieces) {
    return join('', map { sprintf("%x\r\n", length) . "$_\r\n" } grep { length } @pieces) . "0\r\n\r\n";
}

sub form ($fields) {
    my $escape = sub ($text) { $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger };
    return join '&', map { $escape->($_) . '=' . $escape->($fields->{$_}) } sort keys %$fields;
}

# A multipart/form-data body: (content type, bytes). Each part is {name, filename?, type?, content, headers?}.
sub multipart (@parts) {
    my $boundary = '----verstak' . join '', map { ('a' .. 'z')[ rand 26 ] } 1 .. 24;
    my $body     = '';
    for my $part (@parts) {
        $body .= "--$boundary\r\nContent-Disposition: form-data";
        $body .= qq{; name="$part->{name}"}         if defined $part->{name};
        $body .= qq{; filename="$part->{filename}"} if defined $part->{filename};
        $body .= "\r\n";
        $body .= "Content-Type: $part->{type}\r\n" if defined $part->{type};
        $body .= "\r\n$part->{content}\r\n";
    }
    return ("multipart/form-data; boundary=$boundary", "$body--$boundary--\r\n");
}

1;
