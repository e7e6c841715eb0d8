# frozen_string_literal: true

# The hello app in Ruby: twelve bytes, and a mebibyte at /big.
HELLO = "hello world\n"
BIG = ('x' * 1_048_576).freeze

run lambda { |env|
  body = env['PATH_INFO'] == '/big' ? BIG : HELLO
  [200, { 'content-type' => 'text/plain', 'content-length' => body.bytesize.to_s }, [body]]
}
