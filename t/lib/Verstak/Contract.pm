# Checks of answers against the contract: what every error answer and every JSON answer must be.
package Verstak::Contract;
use v5.36;
use Exporter qw(import);
use JSON::PP ();
use Test::Builder;
our @EXPORT = qw(is_error is_json_answer is_status has_types json_type);

my $Test = Test::Builder->new;
binmode $_, ':encoding(UTF-8)' for $Test->output, $Test->failure_output, $Test->todo_output;

# 'string', 'number', 'boolean', 'array', 'object' or 'null' of a decoded JSON value.
sub json_type ($value) {
    return 'null'    if !defined $value;
    return 'boolean' if JSON::PP::is_bool($value);
    return lc(ref $value) =~ s/hash/object/r if ref $value;
    return JSON::PP->new->allow_nonref->encode($value) =~ /\A"/ ? 'string' : 'number';
}

sub is_status ($response, $status, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if (!$response) {
        $Test->ok(0, $name);
        $Test->diag('connection closed without an answer');
        return 0;
    }
    my $ok = $Test->ok($response->status == $status, $name);
    $Test->diag("expected $status, got " . $response->describe) if !$ok;
    return $ok;
}

# What is wrong with an answer that should be an error of the contract; empty when nothing is.
sub error_defects ($response, $status, $code) {
    return 'connection closed without an answer' if !$response;
    my $data = $response->json;
    my @defect;
    push @defect, "status is not $status" if $response->status != $status;
    push @defect, 'Content-Type is ' . ($response->header('Content-Type') // 'missing')
        if ($response->header('Content-Type') // '') !~ m{\Aapplication/json(?:;\s*charset=utf-8)?\z};
    if (ref $data ne 'HASH') {
        push @defect, 'body is no JSON object';
    } else {
        push @defect, "code is not '$code'"   if ($data->{code} // '') ne $code;
        push @defect, 'error is no sentence'  if json_type($data->{error}) ne 'string' || $data->{error} !~ /\w/;
        push @defect, 'error tells internals' if $status == 500 && $data->{error} ne 'internal error';
    }
    push @defect, 'no Allow' if $status == 405 && !$response->header('Allow');
    push @defect, 'no Retry-After in seconds'
        if ($status == 429 || $status == 503) && ($response->header('Retry-After') // '') !~ /\A[1-9]\d*\z/;
    push @defect, 'body cut short' if !$response->complete;
    return @defect;
}

# The answer is the contract's error with this status and code; $error (a text or pattern) compares its sentence, too.
sub is_error ($response, $status, $code, $name, $error = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @defect = error_defects($response, $status, $code);
    if (!@defect && defined $error) {
        my $text = $response->json->{error};
        push @defect, "error is '$text'" if ref $error ? $text !~ $error : $text ne $error;
    }
    my $ok = $Test->ok(!@defect, "$name: $status $code");
    $Test->diag(join('; ', @defect) . "; got " . ($response ? $response->describe : 'nothing')) if !$ok;
    return $ok;
}

# The answer is 200 with a JSON body; returns the data.
sub is_json_answer ($response, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $good =
           $response
        && $response->status == 200
        && $response->complete
        && ($response->header('Content-Type') // '') =~ m{\Aapplication/json(?:;\s*charset=utf-8)?\z}
        && defined $response->json;
    $Test->ok($good, "$name: 200 with JSON");
    $Test->diag('got ' . ($response ? $response->describe : 'nothing')) if !$good;
    return $good ? $response->json : {};
}

# Each field of the object has the JSON type given: {name => 'string', …}.
sub has_types ($data, $types, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @wrong = map { "$_ is " . (exists $data->{$_} ? json_type($data->{$_}) : 'missing') . ", not $types->{$_}" }
        grep { !exists $data->{$_} || json_type($data->{$_}) ne $types->{$_} } sort keys %$types;
    my $ok = $Test->ok(!@wrong, $name);
    $Test->diag(join "\n", @wrong) if @wrong;
    return $ok;
}

1;
