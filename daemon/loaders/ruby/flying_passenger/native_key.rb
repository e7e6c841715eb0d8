# frozen_string_literal: true

module FlyingPassenger
  # What an object in C must have been built for.
  NATIVE_KEY = "ruby-#{RUBY_ENGINE}-#{RUBY_VERSION}-p#{RUBY_PATCHLEVEL}-#{RUBY_PLATFORM}"
end
