# frozen_string_literal: true

# Random environment blocks and responses through both ways of the Ruby loader: native support and its Ruby code. Prints
# what differs. The argument is the directory of the objects.

require 'socket'
require_relative '../ruby/flying_passenger/native'

reason = FlyingPassenger::Native.load(ARGV.fetch(0))
abort("native support cannot be loaded: #{reason}") if reason

module FlyingPassenger
  ROUNDS = 4000
  NAMES = %w[SERVER_PROTOCOL HTTPS HTTP_VERSION HTTP_HOST PATH_INFO HTTP_X_A rack.url_scheme REQUEST_METHOD].freeze
  VALUES = ['', 'on', '1', 'yes', 'off', 'HTTP/1.1', 'HTTP/2.0', "caf\xe9".b, 'a b', 'x' * 300].freeze
  STATUSES = [200, 404, 599, 999, 204, 304, 100, '200', 201.0].freeze
  HEADERS = [['content-type', 'text/plain'], ['x', "a\nb"], ['x', ''], ['set-cookie', %w[a=1 b=2]], ['x', 7], ['x', nil],
             ['X-Y', "a\0b"], %w[Content-Length 12], %w[content-length many], [:sym, 'x'], ['x', "\u00e9"], ['x', 'y' * 9000]].freeze
  BODIES = [[], [''], ['hello'], %w[a b], ["\u00e9", "\xff".b], ['x' * 20_000], ['a'] * 40, [:a], [7, 'b'], ['', 'a', '']].freeze

  # A String that is shown in another way than it is sent.
  class Shown < String
    def to_s = "shown as #{super}"
  end
  OF_A_CLASS = [[Shown.new('a')], [Shown.new('a'), Shown.new('caf\u00e9')], [Shown.new('')]].freeze
  HEADERS_OF_A_CLASS = [[Shown.new('x'), 'a'], ['x', Shown.new('b')], ['x', [Shown.new('c')]]].freeze

  # What the two ways make of the same.
  class Difference
    def initialize
      @random = Random.new(4711)
      @found = 0
      @connection, @peer = connection
    end

    def run
      ROUNDS.times { compare_environments }
      ROUNDS.times { compare_responses }
      puts("#{@found} of #{2 * ROUNDS} differ")
      exit(@found.zero?)
    end

    private

    def connection
      ours, theirs = UNIXSocket.pair
      connection = Connection.new(ours)
      theirs.readpartial(8)
      [connection, theirs]
    end

    def pick(list) = list[@random.rand(list.size)]

    def block
      text = Array.new(@random.rand(12)) { [pick(NAMES), pick(VALUES)] }.flatten.join("\0").b
      case @random.rand(10)
      when 0 then text.byteslice(0, @random.rand(text.bytesize + 1))
      when 1 then @random.bytes(@random.rand(60))
      when 2 then Array.new(300) { |n| "N#{n}\0v" }.join("\0").b
      else text
      end
    end

    def environment(handler, text)
      handler.send(:environment, text.dup).map do |key, value|
        callable = value.respond_to?(:call)
        [key, key.encoding, callable ? :callable : value, key.frozen?, !callable && value.frozen?, value.is_a?(String) && value.encoding]
      end
    rescue ArgumentError => e
      e.class
    end

    def compare_environments
      text = block
      results = [RequestHandler, NativeRequestHandler].map do |kind|
        environment(kind.new(@connection, nil, false), text)
      end
      differ("the block #{text.inspect}", results)
    end

    def compare_responses
      status, body = pick(STATUSES), pick(BODIES + OF_A_CLASS)
      headers = Array.new(@random.rand(4)) { pick(HEADERS + HEADERS_OF_A_CLASS) }.to_h
      method = pick(%w[GET GET HEAD])
      results = [RequestHandler, NativeRequestHandler].map { |kind| response(kind, method, [status, headers, body]) }
      differ("#{method} #{[status, headers, body].inspect[0, 300]}", results)
    end

    def response(kind, method, answer)
      handler = kind.new(@connection, ->(_) { answer }, false)
      handler.send(:answer, { 'REQUEST_METHOD' => method }, RequestHandler::NO_INPUT)
      @peer.readpartial(1 << 20)
    end

    def differ(what, results)
      return if results[0] == results[1]

      @found += 1
      puts("#{what}\n  Ruby:   #{results[0].inspect[0, 500]}\n  native: #{results[1].inspect[0, 500]}") if @found < 10
    end
  end
end

$stderr = File.open(File::NULL, 'w')
FlyingPassenger::Difference.new.run
